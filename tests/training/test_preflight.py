"""What is said before the first step, of runs that would be wasted."""

import dataclasses

import pytest

from datasets.conversion import convert
from datasets.dataset_factory import Dataset, get_dataset
from datasets.settings import Conversion
from runtime.errors import InputError
from training import preflight
from training.settings import TrainSettings

PETS = Dataset(
    "pets", "train", ("records/pets_train_000.tfrecord",), ("cat", "dog"), 100, objects=(80, 3)
)


def settings(**flags) -> TrainSettings:
    return TrainSettings(train_dir="run", dataset_dir="records", batch_size=8, **flags)


@pytest.fixture
def difficult(voc, tmp_path) -> Dataset:
    """Records of two images whose objects are all difficult."""
    for name in ("a", "b"):
        voc.add(name, ("cat", (2, 4, 12, 24), "<difficult>1</difficult>"))
    folder = str(tmp_path / "records")
    convert(
        Conversion(dataset_dir=str(voc), output_dir=folder, output_name="hard_train"),
        report=lambda line: None,
    )
    return get_dataset("hard", "train", folder)


def test_epochs_are_steps_once_the_images_are_counted():
    for epochs, steps in ((1, 13), (2, 25), (0.01, 1)):  # of 100 images in batches of 8
        found = settings(epochs=epochs).in_steps(100)
        assert (found.max_number_of_steps, found.epochs) == (steps, None)
    accumulated = settings(epochs=3, accumulate_steps=2, num_clones=2)
    assert accumulated.in_steps(100).last_step == 10  # of 32 images
    assert settings(max_number_of_steps=7).in_steps(100).last_step == 7


def test_length_is_given_once():
    with pytest.raises(InputError, match=r"--epochs=2 and --max_number_of_steps=5 both say"):
        settings(epochs=2, max_number_of_steps=5)


def test_warm_up_is_shorter_than_the_run():
    preflight.refuse_useless(settings(max_number_of_steps=11, slow_start_step=10), PETS)
    with pytest.raises(InputError, match=r"--slow_start_step=10 is as long as the run of 10 steps"):
        preflight.refuse_useless(settings(max_number_of_steps=10, slow_start_step=10), PETS)


def test_data_without_an_object_to_learn_is_refused(difficult):
    assert difficult.objects == (0,) * 20  # cat is one of VOC's
    preflight.refuse_useless(settings(), difficult)
    with pytest.raises(InputError, match=r"hard train in .* has no object to learn in its 2 im"):
        preflight.refuse_useless(settings(use_difficult=False), difficult)
    empty = dataclasses.replace(difficult, shards=())
    with pytest.raises(InputError, match=r"--learn_crowds"):
        preflight.refuse_useless(settings(), empty)


def test_classes_without_objects_are_named():
    (said,) = preflight.warnings(settings(), dataclasses.replace(PETS, objects=(80, 0)))
    assert "pets train in records has no object of dog (" in said
    assert preflight.warnings(settings(), PETS) == []


def test_few_epochs_are_named():
    (said,) = preflight.warnings(settings(max_number_of_steps=50), PETS)
    assert "50 steps of 8 images are 4 epochs of 100 images" in said
    assert preflight.warnings(settings(max_number_of_steps=63), PETS) == []
