"""Makes what lies in this folder by the code of 14ebcb2, the last before the packages were parted.

  git worktree add /tmp/old 14ebcb2
  PYTHONPATH=/tmp/old .venv/bin/python tests/legacy/make.py /tmp/old
  git worktree remove /tmp/old

Users have trainings, records and exports of that code. What is here is never made anew by today's:
that would test nothing.
"""

import hashlib
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
STEPS, FURTHER_STEPS = 30, 4
# The narrowest network there is. The rest is said though some of it is default, for whoever runs
# the same command today.
FLAGS = (
    *("--dataset_name=shapes", "--depth_multiplier=0.015625", "--batch_size=2", "--seed=3"),
    *("--optimizer=momentum", "--precision=float32", "--log_every_n_steps=1"),
)


def run(old: pathlib.Path, script: str, *flags: str) -> None:
    """Runs a script of the old code to its end."""
    environment = {**os.environ, "PYTHONPATH": str(old), "TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, str(old / script), *flags], env=environment, check=True)


def train_flags(folder: pathlib.Path, *, steps: int) -> tuple[str, ...]:
    """Of a training up to so many steps on `folder`/records, in `folder`/train."""
    places = (f"--dataset_dir={folder / 'records'}", f"--train_dir={folder / 'train'}")
    return (*places, f"--max_number_of_steps={steps}", *FLAGS)


def read_losses(line: str) -> dict[str, float]:
    """The step and the losses of a line of metrics.jsonl."""
    return {k: v for k, v in json.loads(line).items() if k == "step" or k.startswith("loss")}


def read_records(path: pathlib.Path) -> list:
    """What the old code reads from each record, with each image as its bytes' SHA-256."""
    records = importlib.import_module("datasets.records")
    reader = importlib.import_module("datasets.record_reader").RecordReader([str(path)])
    return [records.read_contents(reader.read(number)) for number in range(len(reader))]


def describe_record(contents) -> dict:
    """A record as expected.json has it."""
    fields = {**contents._asdict(), "boxes": contents.boxes.tolist()}
    return {**fields, "encoded": hashlib.sha256(contents.encoded).hexdigest()}


def detect(export_dir: pathlib.Path, export_format: str, images: list) -> list[dict]:
    """What the old code detects with an export, image by image."""
    exported = importlib.import_module("deployment.exported")
    detector = exported.ExportedDetector(str(export_dir), format=export_format)
    found = detector.detect(images, select_threshold=0.01)
    return [{name: part.tolist() for name, part in each._asdict().items()} for each in found]


def main(old: pathlib.Path) -> None:
    """Draws, converts, trains, exports, detects; then trains on, for the losses to come."""
    cv2 = importlib.import_module("cv2")
    numpy = importlib.import_module("numpy")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        records, export_dir = folder / "records", folder / "export"
        run(old, "scripts/make_shapes_devkit.py", f"--output_dir={folder}", "--num_train=3",
            "--num_test=1")  # fmt: skip
        run(old, "tf_convert_data.py", f"--dataset_dir={folder / 'VOC2007'}", "--split=train",
            "--output_name=shapes_train", f"--output_dir={records}")  # fmt: skip
        run(old, "train_ssd_network.py", *train_flags(folder, steps=STEPS))
        for path in (*(folder / "train").glob("events.*"), folder / "train" / ".lock"):
            path.unlink()
        run(old, "export_ssd_network.py", f"--checkpoint_path={folder / 'train'}",
            f"--export_dir={export_dir}", "--format=saved_model,tflite",
            "--keep_top_k=5")  # fmt: skip
        for name in ("records", "train", "export"):
            shutil.rmtree(HERE / name, ignore_errors=True)
            shutil.copytree(folder / name, HERE / name)
        run(old, "train_ssd_network.py", *train_flags(folder, steps=STEPS + FURTHER_STEPS))
        metrics = (folder / "train" / "metrics.jsonl").read_text().splitlines()[STEPS:]
        read = read_records(records / "shapes_train_000.tfrecord")
        encoded = [numpy.frombuffer(contents.encoded, numpy.uint8) for contents in read]
        images = [cv2.imdecode(each, cv2.IMREAD_COLOR)[..., ::-1] for each in encoded]
        expected = {
            "losses": [read_losses(line) for line in metrics],
            "records": [describe_record(contents) for contents in read],
            "detections": {
                name: detect(export_dir, name, images) for name in ("saved_model", "tflite")
            },
        }
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
