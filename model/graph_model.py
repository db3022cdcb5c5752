"""Reads the weights of a TensorFlow.js graph model: `model.json` and its shards."""

import json
import math
import os
from typing import Any

import numpy as np

from runtime import files, limits
from runtime.errors import InputError

NAME = "model.json"
_TYPES = {"float32": np.float32, "int32": np.int32, "bool": np.bool_}
_QUANTIZED = {"uint8": np.uint8, "uint16": np.uint16, "float16": np.float16}


def read(path: str) -> dict[str, np.ndarray]:
    """Every weight by name, quantised ones as float32.

    Args:
      path: of model.json, or its folder.

    Raises:
      InputError: a file is missing, cut short or no graph model.
    """
    path = os.path.join(path, NAME) if os.path.isdir(path) else path
    try:
        manifest = json.loads(files.read(path))["weightsManifest"]
        found = {}
        for group in manifest:
            found |= _read_group(group, os.path.dirname(path))
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a whole TensorFlow.js graph model ({type(error).__name__}: {error}): "
            "give the folder of model.json with all its shards."
        ) from error


def _read_group(group: dict[str, Any], folder: str) -> dict[str, np.ndarray]:
    shards = []
    for name in group["paths"]:
        if os.path.basename(name) != name:
            raise ValueError(f"the shard {name!r} lies elsewhere")
        shards.append(files.read(os.path.join(folder, name), most=limits.MAX_WEIGHT_BYTES))
    data, found, offset = b"".join(shards), {}, 0
    for entry in group["weights"]:
        value, offset = _decode(entry, data, offset)
        found[entry["name"]] = value
    if offset != len(data):
        raise ValueError(f"the shards have {len(data)} bytes, the manifest {offset}")
    return found


def _decode(entry: dict[str, Any], data: bytes, offset: int) -> tuple[np.ndarray, int]:
    """A weight, and where the next one begins."""
    coded = entry.get("quantization")
    dtype = np.dtype(_QUANTIZED[coded["dtype"]] if coded else _TYPES[entry["dtype"]])
    count = math.prod(entry["shape"])
    end = offset + count * dtype.itemsize
    if not 0 <= count <= limits.MAX_WEIGHT_BYTES or end > len(data):
        raise ValueError(f"{entry['name']} ends at byte {end} of {len(data)}")
    value = np.frombuffer(data, dtype.newbyteorder("<"), count, offset).reshape(entry["shape"])
    if coded:
        value = value.astype(np.float32) * coded.get("scale", 1.0) + coded.get("min", 0.0)
        return value.astype(np.float32), end
    return value.astype(dtype), end
