"""An export is in its folder as a whole or not at all, and touches nothing else."""

import pytest
import tensorflow as tf

from export.export import export
from export.settings import ExportSettings
from model import checkpoints
from model.description import Description
from model.detector import Detector
from runtime.errors import InputError
from tests.limits import file_size_limit


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    description = Description(model_name="ssd_300_vgg", labels=("cat",), depth_multiplier=1 / 16)
    tensors = {
        **Detector(description).variables_by_name,
        "description": tf.constant(description.to_json()),
        "global_step": tf.constant(7, tf.int64),
    }
    return checkpoints.save(str(tmp_path_factory.mktemp("train")), 7, tensors)


def test_earlier_export_is_replaced_whole_and_other_folders_are_not(checkpoint, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    settings = ExportSettings(checkpoint_path=checkpoint, export_dir=f"{folder}/", format=("slim",))
    export(settings)
    (folder / "stale.txt").write_text("of the earlier export")
    assert "stale.txt" not in export(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (folder / "export.json").unlink()
    with pytest.raises(InputError, match="no earlier export"):
        export(settings)
    assert (folder / "model.ckpt.index").exists()


def test_export_removes_no_folder_that_it_did_not_make(checkpoint, tmp_path):
    kept = [tmp_path / f"out.{ending}" / "weights.bin" for ending in ("partial", "earlier")]
    for path in kept:
        path.parent.mkdir()
        path.write_text("of the user")
    settings = ExportSettings(
        checkpoint_path=checkpoint, export_dir=str(tmp_path / "out"), format=("slim",)
    )
    export(settings)
    export(settings)
    assert [path.read_text() for path in kept] == ["of the user"] * 2
    assert len(list(tmp_path.iterdir())) == 3


def test_failed_export_leaves_nothing(checkpoint, tmp_path):
    (tmp_path / "typical").mkdir()
    (tmp_path / "typical" / "torn.png").write_bytes(b"\x89PNG nothing")
    settings = ExportSettings(
        checkpoint_path=checkpoint,
        export_dir=str(tmp_path / "out"),
        format=("tflite",),
        tflite_quantization="int8",
        calibration_dir=str(tmp_path / "typical"),
    )
    with pytest.raises(InputError, match=r"--calibration_dir holds no image"):
        export(settings)
    assert [path.name for path in tmp_path.iterdir()] == ["typical"]


def test_place_that_cannot_be_written_is_found_out_before_the_weights_are_read(tmp_path):
    (tmp_path / "ckpt-7.index").write_text("torn")
    (tmp_path / "file").write_text("in the way")
    settings = ExportSettings(
        checkpoint_path=str(tmp_path / "ckpt-7"), export_dir=str(tmp_path / "file" / "out")
    )
    with pytest.raises(InputError, match=r"--export_dir=.*/file/out cannot be written"):
        export(settings)


@pytest.mark.parametrize("format", ["saved_model", "slim"])
def test_full_disk_is_bad_input_and_leaves_nothing(checkpoint, tmp_path, format):
    settings = ExportSettings(
        checkpoint_path=checkpoint, export_dir=str(tmp_path / "out"), format=(format,)
    )
    said = r"could not be written \(.*: make room"
    with pytest.raises(InputError, match=said), file_size_limit(200_000):
        export(settings)  # the anchors fit, the weights do not
    assert list(tmp_path.iterdir()) == []
