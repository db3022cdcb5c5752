"""Turns weights of other frameworks into a checkpoint in slim's names, to start a training from.

  .venv/bin/python scripts/convert_weights.py --input=ssd300_vgg16_coco.pth \\
    --output=checkpoints/ssd300_coco.ckpt --labels_file=coco91.txt
  .venv/bin/python scripts/convert_weights.py --input=vgg16_weights.h5 \\
    --output=checkpoints/vgg_16.ckpt
  .venv/bin/python scripts/convert_weights.py --input=coco-ssd --output=checkpoints/coco.ckpt

A .pth is a state dict of torchvision's ssd300_vgg16 and needs PyTorch: `pip install -e '.[torch]'`.
The checkpoint describes itself, so eval, detect and export take it too. An .h5 or .weights.h5 is
Keras' VGG16; with its top, fc6 and fc7 become conv6 and conv7 when a training starts from it.
A folder with a model.json, or that file, is a
TensorFlow.js graph model of an SSD of the Object Detection API. Nothing in a file is executed.
"""

import dataclasses
import os
import pickle
import re
from typing import Any

from runtime import cli

cli.quiet_tensorflow()

import numpy as np  # noqa: E402

from datasets.layouts.labels import read_labels  # noqa: E402
from model import checkpoints, graph_model  # noqa: E402
from model.description import Description  # noqa: E402
from nets import foreign_weights, object_detection_api  # noqa: E402
from runtime import files, limits  # noqa: E402
from runtime.errors import InputError, one_line  # noqa: E402
from runtime.settings import define_flags, from_flags, refuse_unless, require, setting  # noqa: E402

# Where Keras has the layers: older .h5 at the top, whole models, .weights.h5, its first version.
KERAS_GROUPS = ("model_weights", "layers", "_layer_checkpoint_dependencies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightSettings:
    """The flags."""

    input: str = setting(
        "", "Weights to convert: a .pth, .h5 or .weights.h5 file, or a folder with a model.json."
    )
    output: str = setting("", "Checkpoint to write, as a path without ending.")
    labels_file: str | None = setting(
        None,
        "File of the class names of a .pth, one a line, without background; class_1, ... by "
        "default.",
    )

    def __post_init__(self):
        require(self, "input", "output")
        is_graph_model = os.path.isfile(os.path.join(self.input, graph_model.NAME))
        if not os.path.isfile(self.input) and not is_graph_model:
            raise InputError(f"--input={self.input} is not a file: give one of weights.")
        if not is_graph_model and not self.input.endswith((".pth", ".h5", ".json")):
            raise InputError(f"--input={self.input} must end in .pth, .h5 or .weights.h5.")
        is_torch = self.input.endswith(".pth")
        refuse_unless(is_torch, self, "labels_file", needs="a .pth as --input")


def read_torch(path: str) -> dict[str, np.ndarray]:
    """A state dict, by PyTorch's reader that executes nothing.

    Raises:
      InputError: PyTorch is not installed, or the file holds more than tensors.
    """
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"--input={path} needs PyTorch: pip install -e '.[torch]', or pip install torch."
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(
            f"--input={path} cannot be read as weights alone ({one_line(error)}): give a state "
            "dict, as torch.save(model.state_dict(), path) writes it."
        ) from error
    return {name: value.numpy() for name, value in unwrapped(state, path).items()}


def unwrapped(state: Any, path: str) -> dict[str, Any]:
    """The state dict in what a .pth holds: itself, or what trainers put it into.

    Raises:
      InputError: there is none.
    """
    for wrapping in ("model", "state_dict"):  # of torchvision's training script, and of others
        if isinstance(state, dict):
            state = state.get(wrapping, state)
    if not isinstance(state, dict) or not all(hasattr(v, "numpy") for v in state.values()):
        raise InputError(
            f"--input={path} holds no state dict of tensors: write one by "
            "torch.save(model.state_dict(), path)."
        )
    return state


def read_keras(path: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """layer -> (kernel, bias), of Keras 3's .weights.h5, of its .h5, or of older ones.

    Raises:
      InputError: not an HDF5 file.
    """
    import h5py  # comes with TensorFlow

    arrays: dict[str, list[np.ndarray]] = {}

    def visit(name: str, node: Any) -> None:
        layer = re.match(rf"(?:(?:{'|'.join(KERAS_GROUPS)})/)?([^/]+)/", name)
        if isinstance(node, h5py.Dataset) and layer and not name.startswith("optimizer"):
            _check_node(node, sum(value.nbytes for each in arrays.values() for value in each))
            arrays.setdefault(layer.group(1), []).append(np.asarray(node))

    try:
        files.check_regular(path)
        with h5py.File(path) as file:
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"--input={path} cannot be read as HDF5 ({error}).") from error
    pairs = {}
    for layer, values in arrays.items():
        if sorted(value.ndim == 1 for value in values) == [False, True]:
            bias, kernel = sorted(values, key=lambda value: value.ndim)
            pairs[layer] = (kernel, bias)
    return pairs


def _check_node(node: Any, taken: int) -> None:
    """Raises ValueError where a data set of HDF5 is no array of numbers in the file itself."""
    if node.external or node.is_virtual:
        raise ValueError(f"{node.name} is kept in another file")
    if node.shape is None or node.dtype.kind not in "fiu":
        raise ValueError(f"{node.name} holds no numbers")
    if taken + node.nbytes > limits.MAX_WEIGHT_BYTES:  # a few bytes can claim any shape
        raise ValueError(f"it has more than {limits.MAX_WEIGHT_BYTES} bytes of weights")


def convert(settings: WeightSettings) -> dict[str, Any]:
    """The tensors of the checkpoint, by name."""
    if settings.input.endswith(".h5"):
        return dict(foreign_weights.from_keras(read_keras(settings.input)))
    if not settings.input.endswith(".pth"):
        return dict(object_detection_api.from_graph_model(graph_model.read(settings.input)))
    tensors: dict[str, Any] = dict(foreign_weights.from_torchvision(read_torch(settings.input)))
    description = Description.from_shapes(
        {name: value.shape for name, value in tensors.items()},
        model_name="ssd_300_vgg",
        labels=read_labels(settings.labels_file) if settings.labels_file else None,
        anchors=foreign_weights.TORCHVISION_ANCHORS,
    )
    return {**tensors, "description": description.to_json()}


def write(tensors: dict[str, Any], path: str) -> None:
    """Writes the checkpoint; InputError says why it could not be."""
    with files.explain_write_errors(f"--output={path}"):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        checkpoints.write(path, tensors)


def main() -> None:
    """Reads, renames, writes."""
    settings = from_flags(WeightSettings)
    tensors, path = convert(settings), settings.output
    write(tensors, path)
    print(f"{len(tensors)} tensors in {path}; --checkpoint_path={path} reads it.")


if __name__ == "__main__":
    define_flags(WeightSettings)
    cli.run(main, usage=__doc__)
