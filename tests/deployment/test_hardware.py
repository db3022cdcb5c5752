"""What the machine can do, from made-up descriptions of machines."""

import pytest
import tensorflow as tf

from deployment import hardware
from errors import InputError


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


def test_precision_given_is_kept_and_auto_is_resolved():
    assert hardware.resolve_precision("float32") == "float32"
    expected = "bfloat16" if hardware.cpu_has_bfloat16() else "float32"
    assert hardware.resolve_precision("auto") == expected
    assert hardware.compute_dtype(expected) in (tf.bfloat16, tf.float32)


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match="--precision=float8"):
        hardware.resolve_precision("float8")
