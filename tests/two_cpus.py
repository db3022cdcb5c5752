"""Runs a function of a test module in a process whose CPU is two logical devices."""

import json
import pathlib
import subprocess
import sys
from typing import Any

_CODE = """
import sys
sys.path[:0] = {paths!r}
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import importlib.util
spec = importlib.util.spec_from_file_location("test", {file!r})
test = importlib.util.module_from_spec(spec)
spec.loader.exec_module(test)
test.{function}()
"""
ROOT = pathlib.Path(__file__).resolve().parents[1]


def call(file: str, function: str) -> Any:
    """What the function prints last, as JSON; it makes its strategy of CPU:0 and CPU:1."""
    code = _CODE.format(paths=[str(ROOT)], file=file, function=function)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
