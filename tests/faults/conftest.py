"""A small data set of drawn shapes, and a training of two workers that nothing disturbed."""

import pytest
import runs

from tests.faults import clusters
from tests.faults.clusters import BATCH, STEPS


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Folder of the records shapes_train, 12 images."""
    folder = tmp_path_factory.mktemp("faults")
    runs.run("scripts/make_shapes_devkit.py", f"--output_dir={folder}", "--num_train=12",
             "--num_test=2")  # fmt: skip
    runs.run(
        "tf_convert_data.py",
        f"--dataset_dir={folder / 'VOC2007'}",
        "--split=train",
        "--output_name=shapes_train",
        f"--output_dir={folder / 'records'}",
    )
    return folder / "records"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, records):
    """train_dir of a run of two workers."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    arguments = clusters.flags(records, folder, steps=STEPS, batch=BATCH)
    ended = clusters.run(arguments, folder, workers=2)
    assert ended.codes == [0, 0], ended.output
    return folder
