"""The conversion script as users run it: in a process of its own."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from datasets.conversion import Conversion, convert
from datasets.dataset_factory import get_dataset
from datasets.records.manifest import find_partial, read_manifest
from runtime.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}

# The converter itself, slowed so that a kill surely comes in the middle.
SLOW = """
import sys, time
from datasets.conversion import Conversion, convert
def slowly(ids):
    for image_id in ids:
        time.sleep(.03)
        yield image_id
convert(Conversion(dataset_dir=sys.argv[1], output_dir=sys.argv[2], output_name="own_train",
        num_shards=4), progress=slowly)
"""


def run(*arguments):
    command = [sys.executable, str(ROOT / "tf_convert_data.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=600)


def refusal(*arguments):
    """The sentence on stderr of a run that must end with exit code 2."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_script_converts_and_prints_its_table(voc, tmp_path):
    voc.add_many(3)
    voc.add_split("train", "p000\np002\n")
    done = run(
        f"--dataset_dir={voc}/",
        "--split=train",
        "--output_name=own_train",
        f"--output_dir={tmp_path}/out",
        "--dataset_name=shapes",  # which are a folder in VOC layout
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "class    images   objects  difficult",
        "cat           2         2          0",
        "own           2         2          0",
        "all           2         4          0",
        f"written: own_train (2 images) in {tmp_path}/out",
        "Next: train_ssd_network.py --dataset_name=own --dataset_split_name=train "
        f"--dataset_dir={tmp_path}/out --train_dir=FOLDER",
    ]
    assert get_dataset("own", "train", f"{tmp_path}/out").labels == ("cat", "own")


def test_truncated_jpeg_ends_in_one_sentence(voc, tmp_path):
    voc.add_many(2)
    path = voc.path / "JPEGImages" / "p001.jpg"
    path.write_bytes(path.read_bytes()[:-60])
    error = refusal(f"--dataset_dir={voc}", f"--output_dir={tmp_path}/out")
    assert error.count("\n") == 1
    assert "p001.jpg was cut off" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--dataset_dir=.", "--skip_bad=-1"], "--skip_bad=-1 must be 0 or more"),
        (["--dataset_dir=.", "--dataset_name=kitti"], "--dataset_name=kitti is no layout"),
        (["--dataset_dir=.", "--coco_annotations=x"], "belongs to --dataset_name=coco"),
        (["--dataset_dir=.", "--dataset_name=coco", "--split=a"], "--split=a: a COCO file is one"),
        (["--dataset_name=coco", "--dry_run"], "--annotations is missing"),
    ],
)
@pytest.mark.slow
def test_bad_input_ends_in_one_sentence(arguments, message):
    error = refusal(*arguments)
    assert error.count("\n") == 1
    assert message in error


@pytest.fixture
def kill_in_the_middle(voc, tmp_path):
    """Starts a conversion of 200 images and kills it after its first shard was begun."""
    voc.add_many(200)
    out = tmp_path / "out"

    def kill():
        command = [sys.executable, "-c", SLOW, str(voc), str(out)]
        with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 300  # a machine that is busy otherwise
            while not list(out.glob(".own_train.partial-*/*_001.tfrecord")):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
        return out

    return kill


def convert_quietly(voc, out):
    conversion = Conversion(dataset_dir=str(voc), output_dir=str(out), output_name="own_train")
    return convert(conversion, report=lambda line: None)


@pytest.mark.faults
@pytest.mark.slow
def test_killed_conversion_is_refused_and_repaired(voc, kill_in_the_middle):
    out = kill_in_the_middle()
    assert len(find_partial(str(out), "own_train")) == 1
    with pytest.raises(InputError, match=r"own_train .*incomplete.*interrupted"):
        get_dataset("own", "train", str(out))
    convert_quietly(voc, out)
    assert get_dataset("own", "train", str(out)).num_samples == 200
    assert find_partial(str(out), "own_train") == []


@pytest.mark.faults
@pytest.mark.slow
def test_killed_conversion_leaves_the_old_data_set_whole(voc, tmp_path, kill_in_the_middle):
    convert_quietly(voc, tmp_path / "out")
    out = kill_in_the_middle()
    assert get_dataset("own", "train", str(out)).num_samples == 200
    convert_quietly(voc, out)
    assert find_partial(str(out), "own_train") == []


@pytest.fixture(scope="session")
def voc2007(shared, tmp_path_factory):
    """The annotations of the whole of VOC2007, unpacked once."""
    folder = tmp_path_factory.mktemp("voc2007")
    archive = shared / "data" / "voc2007_annotations.tar.xz"
    subprocess.run(["tar", "-xJf", str(archive), "-C", str(folder)], check=True)
    return folder


@pytest.mark.golden
@pytest.mark.parametrize(
    "split, images, objects, persons, aeroplanes",
    [
        (
            "trainval",
            5011,
            12608,
            {"pictures": 2008, "objects": 4690},
            {"pictures": 238, "objects": 306},
        ),
        (
            "test",
            4952,
            12032,
            {"pictures": 2007, "objects": 4528},
            {"pictures": 204, "objects": 285},
        ),
    ],
)
def test_official_counts_of_voc2007_come_out(voc2007, split, images, objects, persons, aeroplanes):
    """Expected: the statistics published with VOC2007 (objects without difficult ones)."""
    conversion = Conversion(dataset_dir=str(voc2007), split=split, dry_run=True)
    tally = convert(conversion, report=lambda line: None)
    assert (tally.num_images, tally.num_objects) == (images, objects)
    assert persons.items() <= tally.classes["person"].items()
    assert aeroplanes.items() <= tally.classes["aeroplane"].items()
    assert tally.notes["dropped_boxes"] == {}


def test_bccd_converts_and_drops_its_two_flat_boxes(shared, tmp_path):
    lines = []
    source = str(shared / "data" / "bccd" / "BCCD")
    for split in ("trainval", "test"):
        conversion = Conversion(
            dataset_dir=source,
            split=split,
            output_dir=str(tmp_path),
            output_name=f"bccd_{split}",
            skip_bad=0,
        )
        convert(conversion, report=lines.append)
    assert get_dataset("bccd", "trainval", str(tmp_path)).num_samples == 292
    assert get_dataset("bccd", "test", str(tmp_path)).labels == ("Platelets", "RBC", "WBC")
    assert lines == [
        "BloodImage_00338.jpg: the box of object 13 has no area inside the image",
        "BloodImage_00343.jpg: the box of object 4 has no area inside the image",
    ]
    notes = read_manifest(str(tmp_path), "bccd_trainval").notes
    assert sum(notes["dropped_boxes"].values()) == 2


def test_voc_sample_converts(shared, tmp_path):
    conversion = Conversion(
        dataset_dir=str(shared / "data" / "voc2007_sample" / "VOCdevkit"),
        split="trainval",
        output_dir=str(tmp_path),
        output_name="voc_2007_trainval",
    )
    tally = convert(conversion, report=lambda line: None)
    assert (tally.num_images, tally.num_objects, tally.num_difficult) == (172, 387, 71)
    found = get_dataset("pascalvoc_2007", "trainval", str(tmp_path))
    assert found.num_samples == 172
    manifest = read_manifest(str(tmp_path), "voc_2007_trainval")
    assert manifest is not None
    assert manifest.classes["person"]["objects"] == 101
