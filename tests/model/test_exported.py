"""An export_dir that something else wrote: one sentence, whatever its files hold."""

import json

import numpy as np
import pytest

from model.description import Description
from model.exported import ExportedDetector
from runtime.errors import InputError

DESCRIPTION = Description(model_name="ssd_32_tiny", labels=("cat",))
ABOUT = {
    "formats": ["tflite"],
    "step": 1,
    "description": json.loads(DESCRIPTION.to_json()),
    "image_size": [32, 32],
    "prior_scaling": [0.1, 0.1, 0.2, 0.2],
    "rgb_means": [123, 117, 104],
    "thresholds": {"select_threshold": 0.5},
}


@pytest.fixture
def folder(tmp_path):
    """An export of which only the model is missing."""
    (tmp_path / "export.json").write_text(json.dumps(ABOUT))
    np.save(tmp_path / "anchors.npy", np.zeros((3, 4), np.float32))
    return tmp_path


@pytest.mark.parametrize(
    "forged",
    [
        *({key: 3} for key in ABOUT if key != "step"),
        *({"formats": value} for value in ([3], [[]])),
        *({"image_size": value} for value in (["x", "y"], [[1], [2, 3]])),
        *({"thresholds": {"select_threshold": value}} for value in ("x", None, [1])),
        {"description": {"format": 1}},
        {"step": "x"},
    ],
)
def test_export_json_of_other_types_is_bad_input(folder, forged):
    (folder / "export.json").write_text(json.dumps(ABOUT | forged))
    with pytest.raises(InputError, match=r"holds no export|description in the checkpoint"):
        ExportedDetector(str(folder))


@pytest.mark.parametrize("anchors", [np.zeros((3, 5)), np.array(["a"]), None])
def test_anchors_of_an_export_are_boxes(folder, anchors):
    (folder / "anchors.npy").write_bytes(b"no array")
    if anchors is not None:
        np.save(folder / "anchors.npy", anchors)
    with pytest.raises(InputError, match=r"anchors\.npy holds no anchors"):
        ExportedDetector(str(folder))


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
def test_tflite_of_something_else_is_bad_input(folder, content):
    (folder / "model.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.tflite cannot be loaded"):
        ExportedDetector(str(folder))


def test_saved_model_of_something_else_is_bad_input(folder):
    (folder / "export.json").write_text(json.dumps(ABOUT | {"formats": ["saved_model"]}))
    (folder / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot be loaded"):
        ExportedDetector(str(folder))
