"""SSD-512 from the scripts: trains, is scored and detects."""

import json

import pytest
import runs


@pytest.mark.slow
def test_ssd_512_trains_and_is_scored_and_detects(records, voc_dir, tmp_path):
    flags = [*runs.train_flags(records, tmp_path / "run", steps=2), *runs.NARROW_VGG]
    runs.run("train_ssd_network.py", *flags, "--model_name=ssd_512_vgg", "--train_image_size=512")
    assert "ssd_512_vgg/block12/conv4x4 " in (tmp_path / "run" / "configuration.txt").read_text()
    runs.run(
        "eval_ssd_network.py",
        f"--checkpoint_path={tmp_path / 'run'}",
        f"--eval_dir={tmp_path / 'eval'}",
        f"--dataset_dir={records}",
        "--dataset_name=shapes",
        "--model_name=ssd_512_vgg",
    )
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text())["num_images"] == 6
    pictures = sorted((voc_dir / "JPEGImages").iterdir())
    runs.run(
        "detect_ssd_network.py",
        f"--checkpoint_path={tmp_path / 'run'}",
        f"--input={pictures[0]}",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert len((tmp_path / "out" / "detections.jsonl").read_text().splitlines()) == 1
