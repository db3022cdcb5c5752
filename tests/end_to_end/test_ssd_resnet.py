"""SSD-300 on ResNet-50 from the scripts: starts from slim's classifier, trains and detects."""

import pytest
import runs

from model import checkpoints
from model.description import Description
from model.detector import Detector

NAME = "ssd_300_resnet_v1_50"
NARROW = (f"--model_name={NAME}", "--depth_multiplier=0.125")


@pytest.fixture
def classifier(tmp_path):
    """A checkpoint in the names of slim's resnet_v1_50.ckpt, an eighth as wide."""
    detector = Detector(Description(model_name=NAME, labels=("cat",), depth_multiplier=0.125))
    tensors = {
        name.removeprefix(f"{NAME}/"): each.numpy()
        for name, each in detector.variables_by_name.items()
        if name.startswith(f"{NAME}/resnet_v1_50/")
    }
    checkpoints.write(str(tmp_path / "resnet_v1_50.ckpt"), tensors)
    return tmp_path / "resnet_v1_50.ckpt"


@pytest.mark.slow
def test_resnet_trains_from_slims_classifier_and_detects(records, voc_dir, classifier, tmp_path):
    flags = [*runs.train_flags(records, tmp_path / "run", steps=3), *NARROW]
    flags += [f"--checkpoint_path={classifier}", "--precision=bfloat16"]
    plan = runs.run("train_ssd_network.py", *flags, "--dry_run").stdout
    assert "215 renamed, 0 reduced, 74 new, 106 frozen" in plan  # frozen: the statistics
    runs.run("train_ssd_network.py", *flags)
    assert [row["step"] for row in runs.read_metrics(tmp_path / "run")] == [1, 2, 3]
    assert "--batch_norm=frozen" in (tmp_path / "run" / "flags.txt").read_text()
    picture = min((voc_dir / "JPEGImages").iterdir())
    runs.run(
        "detect_ssd_network.py",
        f"--checkpoint_path={tmp_path / 'run'}",
        f"--input={picture}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert len((tmp_path / "out" / "detections.jsonl").read_text().splitlines()) == 1
