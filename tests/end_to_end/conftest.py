"""A small data set of drawn shapes, a short training on it, and the demo: each made once."""

import pathlib

import pytest
import runs


@pytest.fixture(scope="session")
def voc_dir(tmp_path_factory):
    """VOC folder with 12 training and 6 test images."""
    folder = tmp_path_factory.mktemp("devkit")
    runs.run(
        "scripts/make_shapes_devkit.py",
        f"--output_dir={folder}",
        "--num_train=12",
        "--num_test=6",
    )
    return folder / "VOC2007"


@pytest.fixture(scope="session")
def records(tmp_path_factory, voc_dir):
    """Folder of the records shapes_train and shapes_test."""
    folder = tmp_path_factory.mktemp("records")
    for split in ("train", "test"):
        runs.run(
            "tf_convert_data.py",
            f"--dataset_dir={voc_dir}",
            f"--split={split}",
            f"--output_name=shapes_{split}",
            f"--output_dir={folder}",
        )
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory, records):
    """train_dir of a run of six steps that nothing disturbed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    runs.run("train_ssd_network.py", *runs.train_flags(records, folder, steps=6))
    return folder


@pytest.fixture(scope="session")
def trained_vgg(tmp_path_factory, records):
    """train_dir of three steps of the narrow SSD-300, each of them saved."""
    folder = tmp_path_factory.mktemp("trained_vgg") / "run"
    flags = runs.train_flags(records, folder, steps=3)
    runs.run("train_ssd_network.py", *flags, *runs.NARROW_VGG, "--save_interval_secs=0")
    return folder


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> pathlib.Path:
    """What `make demo` leaves in demo/: eight minutes, once for all tests that look at it."""
    folder = tmp_path_factory.mktemp("demo")
    runs.link_checkout(folder)
    (folder / "scripts").unlink()
    (folder / "scripts").mkdir()
    for path in (runs.ROOT / "scripts").glob("*.*"):
        (folder / "scripts" / path.name).write_bytes(path.read_bytes())
    runs.shell("bash scripts/demo.sh", folder)
    return folder / "demo"


@pytest.fixture(scope="session")
def trained_demo(request) -> pathlib.Path:
    """The same for tests that only need its model: the checkout's own demo/ will do."""
    finished = (runs.ROOT / "demo" / "detections.png").exists()
    return runs.ROOT / "demo" if finished else request.getfixturevalue("demo")
