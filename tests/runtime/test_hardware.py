"""What the machine can do, from made-up descriptions of machines."""

import ast
import pathlib

import pytest
import tensorflow as tf

from runtime import hardware
from runtime.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("verb", ["train", "eval", "detect", "export"])
def test_whatever_runs_a_network_takes_gpu_memory_as_it_is_needed(verb):
    name = "training/train.py" if verb == "train" else f"{verb}_ssd_network.py"
    assert "hardware.set_up_gpu_memory" in calls(ast.parse((ROOT / name).read_text()))


def test_every_benchmarked_thing_leaves_gpu_memory_to_those_it_takes_turns_with():
    """A function that imports TensorFlow and returns a contender sets it up first."""
    for name in ("training", "inference", "loop"):
        tree = ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text())
        makers = [
            node
            for node in tree.body
            if isinstance(node, ast.FunctionDef)
            and "Contender" in calls(node)
            and ("import tensorflow" in ast.unparse(node) or "_detector" in calls(node))
        ]
        assert makers
        assert all("_contenders.set_up_tensorflow" in calls(maker) for maker in makers)


def test_gpu_memory_is_made_to_grow(monkeypatch):
    """TensorFlow, once it is asked, refuses that of the CPU, which replaces a GPU here."""
    cpus = tf.config.list_physical_devices("CPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", {"GPU": cpus}.get)
    with pytest.raises(ValueError, match="Cannot set memory growth"):
        hardware.set_up_gpu_memory(None)


def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("fpu avx2 avx512_bf16", True), ("fpu amx_bf16", True), ("fpu avx512f", False)],
)
def test_bfloat16_is_read_from_the_cpus_flags(tmp_path, flags, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(f"model name\t: x\nflags\t\t: {flags}\nbugs\t: none\n")
    assert hardware.cpu_has_bfloat16(str(path)) is expected


def test_bfloat16_is_off_where_nothing_is_known(tmp_path):
    assert hardware.cpu_has_bfloat16(str(tmp_path / "absent")) is False


def test_device_is_named():
    assert not tf.test.is_built_with_cuda(), "this test is for the CPU's build"
    assert hardware.describe_device(clones=2, on_cpu=False) == "the CPU"


def test_precision_given_is_kept_and_auto_is_resolved():
    assert hardware.resolve_precision("float32") == "float32"
    expected = "bfloat16" if hardware.cpu_has_bfloat16() else "float32"
    assert hardware.resolve_precision("auto") == expected
    assert hardware.compute_dtype(expected) in (tf.bfloat16, tf.float32)
    assert hardware.compute_dtype("mixed_float16") == tf.float16


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match="--precision=float8"):
        hardware.resolve_precision("float8")


def test_memory_of_the_smallest_gpu_is_what_nvidias_tool_says(tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "--query-gpu=memory.total --format=csv,noheader,nounits" ] || exit 1\n'
        "printf '24576\\n16384\\n'\n"
    )
    tool.chmod(0o755)
    assert hardware.gpu_memory(str(tool)) == 16384


@pytest.mark.parametrize("tool", ["/no/such/tool", "/bin/false", "/bin/true", "/bin/echo"])
def test_machine_that_does_not_tell_its_gpu_memory_is_refused(tool):
    with pytest.raises(InputError, match="--gpu_memory_fraction"):
        hardware.gpu_memory(tool)


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, float("nan")])
def test_share_of_memory_lies_above_0_and_up_to_1(fraction):
    with pytest.raises(InputError, match=r"--gpu_memory_fraction=.* must lie in \(0, 1\]"):
        hardware.check_memory_fraction(fraction)
    hardware.check_memory_fraction(1.0)
    hardware.check_memory_fraction(None)
