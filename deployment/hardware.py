"""What this machine can do: bfloat16 on the CPU, and GPU memory that grows."""

import tensorflow as tf

from errors import InputError

PRECISIONS = ("auto", "float32", "bfloat16")


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


def compute_dtype(precision: str) -> tf.DType:
    """The type of activations and of the weights' casts."""
    return tf.dtypes.as_dtype(precision)


def let_gpu_memory_grow() -> None:
    """Takes GPU memory as it is needed instead of all at once; call before GPUs are used."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
