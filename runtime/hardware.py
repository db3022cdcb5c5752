"""What this machine can do: bfloat16 on the CPU, and memory that grows, is limited, or ends."""

import contextlib
import subprocess
from collections.abc import Iterator

import tensorflow as tf

from runtime.errors import InputError, one_line

PRECISIONS = ("auto", "float32", "bfloat16", "mixed_float16")


def resolve_precision(precision: str) -> str:
    """What "auto" means here: bfloat16 on a CPU with bfloat16 instructions and float32 elsewhere.

    Without such instructions bfloat16 is emulated and several times slower than float32.

    Raises:
      InputError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"--precision={precision} is unknown: use one of {', '.join(PRECISIONS)}.")
    if precision != "auto":
        return precision
    on_cpu = not tf.config.list_physical_devices("GPU")
    return "bfloat16" if on_cpu and cpu_has_bfloat16() else "float32"


def cpu_has_bfloat16(cpuinfo: str = "/proc/cpuinfo") -> bool:
    """Whether the CPU multiplies bfloat16 itself (AVX512-BF16 or AMX); False where nobody says."""
    try:
        with open(cpuinfo, encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "").split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def describe_device(*, clones: int, on_cpu: bool) -> str:
    """What a training computes on, as the end of a sentence; says why where a GPU's build has none.

    Args:
      clones: replicas on this host.
      on_cpu: whether they were put on the CPU.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and not on_cpu:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        return f"{clones} x {name}"
    if tf.test.is_built_with_cuda() and not gpus:
        return "the CPU, since TensorFlow finds no GPU (TF_CPP_MIN_LOG_LEVEL=0 shows its reasons)"
    return "the CPU"


def compute_dtype(precision: str) -> tf.DType:
    """The type of activations and of the weights' casts; variables and losses stay float32."""
    return tf.dtypes.as_dtype(precision.removeprefix("mixed_"))


def set_up_gpu_memory(fraction: float | None) -> None:
    """Takes GPU memory as it is needed instead of all at once; call before GPUs are used.

    Args:
      fraction: take this share of each GPU's memory instead, and no more; None lets it grow.

    Raises:
      InputError: a share is asked for, and nvidia-smi does not say of how much.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if fraction is None:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    elif gpus:
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=fraction * gpu_memory())
        for gpu in gpus:
            tf.config.set_logical_device_configuration(gpu, [limit])


def gpu_memory(program: str = "nvidia-smi") -> int:
    """MiB of the GPU that has least, by NVIDIA's tool: TensorFlow does not tell.

    Raises:
      InputError: the tool is missing or says nothing.
    """
    command = [program, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return min(map(int, lines))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InputError(
            f"--gpu_memory_fraction: {program} does not tell how much memory there is: remove the "
            "flag, and memory use grows as needed."
        ) from error


@contextlib.contextmanager
def explaining_out_of_memory() -> Iterator[None]:
    """Around a training step.

    Raises:
      InputError: there is not enough memory for it.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise InputError(
            f"A step does not fit into memory ({one_line(error)}): lower --batch_size, and raise "
            "--accumulate_steps by as much to keep the step."
        ) from error


def check_memory_fraction(fraction: float | None) -> None:
    """Raises InputError for a share of memory that is none."""
    if fraction is not None and not 0 < fraction <= 1:
        raise InputError(f"--gpu_memory_fraction={fraction} must lie in (0, 1].")
