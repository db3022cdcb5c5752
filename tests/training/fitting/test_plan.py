"""What a fit chooses, worked out by hand from the recipes that it names."""

import numpy as np
import pytest

from inspection.collect import Inspection
from model import checkpoints, weights
from model.description import Description
from runtime.errors import InputError
from training.fitting import plan as fit_plan
from training.fitting.data import FitData
from training.fitting.settings import FitSettings
from training.settings import TrainSettings


def data(train: int = 292, val: int = 60) -> FitData:
    return FitData("train", "val", "val", {"train": train, "val": val}, ())


def inspection(*sizes: float) -> Inspection:
    """Square objects of these sides, as shares of the image, in its middle."""
    half = np.array(sizes, np.float32)[:, None] / 2
    boxes = np.concatenate([0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half], axis=1)
    count = len(sizes)
    return Inspection(
        title="",
        num_pictures=count,
        labels=("cat",),
        defects=[],
        names=["cat"] * count,
        boxes=boxes,
        sides=np.full((count, 2), 300.0, np.float32),
        pictures=np.arange(count),
        difficult=np.zeros(count, bool),
        picture_sizes={},
        record_bytes=0,
        suspects=[],
        groups=[],
    )


def settings(**flags) -> FitSettings:
    return FitSettings(input="images", output_dir="run", **flags)


def chosen(found: Inspection | None = None, of: FitData | None = None, **flags) -> fit_plan.Plan:
    asked, of = settings(**flags), of or data()
    network = fit_plan.choose_network(asked)
    plan = fit_plan.choose(asked, network, of, found or inspection(0.3, 0.5))
    return fit_plan.with_length(plan, asked, of)


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)


@pytest.fixture
def coco_weights(no_weights, tmp_path):
    (tmp_path / f"{fit_plan.COCO}.ckpt.index").write_bytes(b"")


def test_fetched_weights_are_taken(coco_weights):
    plan = chosen()
    assert plan.settings["model_name"] == "ssdlite_300_mobilenet_v2"
    assert plan.settings["checkpoint_path"] == fit_plan.COCO
    assert "anchors" not in plan.settings  # which are the weights'
    assert plan.settings["max_number_of_steps"] == 900  # 7,200 images in batches of 8
    assert plan.settings["slow_start_step"] == 50
    assert plan.settings["eval_every_n_steps"] == 150
    TrainSettings(**plan.settings)  # which refuses what does not go together


def test_without_weights_it_says_how_to_get_them(no_weights):
    plan = chosen()
    assert (plan.settings["model_name"], plan.settings["checkpoint_path"]) == ("ssd_300_vgg", "")
    assert plan.settings["depth_multiplier"] == 0.25
    assert any("make weights" in line for line in plan.reasons)
    assert plan.settings["max_number_of_steps"] == 3600


def test_scratch_is_taken_at_its_word(coco_weights):
    plan = chosen(checkpoint_path="none", model_name="ssdlite_300_mobilenet_v2")
    assert plan.settings["model_name"] == "ssdlite_300_mobilenet_v2"
    assert plan.settings["checkpoint_path"] == ""


@pytest.mark.parametrize(("num_images", "epochs"), [(20, 100), (292, 7200 / 292), (5000, 12)])
def test_epochs_fall_with_the_number_of_images(coco_weights, num_images, epochs):
    steps = chosen(of=data(num_images)).settings["max_number_of_steps"]
    assert steps == np.ceil(epochs * num_images / 8)


def test_few_images_make_small_batches(coco_weights):
    assert chosen(of=data(3)).settings["batch_size"] == 3


def test_length_is_as_asked(coco_weights):
    assert chosen(epochs=2).settings["max_number_of_steps"] == 73  # of 292 images in eights
    by_flag = chosen(train_flags="--max_number_of_steps=11 --eval_every_n_epochs=1")
    assert by_flag.settings["max_number_of_steps"] == 11
    assert "eval_every_n_steps" not in by_flag.settings


def test_minutes_leave_time_for_the_evaluations(coco_weights):
    asked = settings(minutes=10)
    plan = fit_plan.choose(asked, fit_plan.choose_network(asked), data(), inspection(0.3))
    timed = fit_plan.with_length(plan, asked, data(), images_per_second=20.0, seconds=500.0)
    # 7 evaluations of 60 images at 60 images/s are 7 s; 493 s at 20 images/s are 9,860 images.
    assert timed.settings["max_number_of_steps"] == 1232


def test_flags_of_the_training_win(coco_weights):
    plan = chosen(train_flags="--batch_size=4 --anchors=coco --augment=False")
    assert (plan.settings["batch_size"], plan.settings["anchors"]) == (4, "coco")
    assert plan.settings["augment"] is False
    assert plan.settings["max_number_of_steps"] == 1800
    for text, said in (
        ("--train_dir=x", r"--train_flags names --train_dir, which the fit gives: use --output_d"),
        ("--batchsize=4", r"--train_flags=--batchsize=4: Unknown command line flag 'batchsize'"),
        ("--batch_size=x", r"--train_flags=--batch_size=x: .*'x'"),
        ("four", r"--train_flags=four: 'four' is no --flag=value"),
    ):
        with pytest.raises(InputError, match=said):
            settings(train_flags=text)
    with pytest.raises(InputError, match=r"--epochs=2 and --max_number_of_steps in --train_flags"):
        settings(train_flags="--max_number_of_steps=4", epochs=2)
    with pytest.raises(InputError, match=r"--epochs=2 and --minutes=3 both say how long"):
        settings(minutes=3, epochs=2)


def test_anchors_are_those_of_the_boxes_where_these_fit_better(no_weights):
    tiny = inspection(*np.linspace(0.02, 0.05, 40))  # 6 to 15 pixels, where voc begins at 30
    plan = chosen(tiny)
    assert plan.settings["anchors"].count("-") == 6  # two sides for each of six layers
    assert any("k-means" in line for line in plan.reasons)
    assert chosen(inspection(0.2, 0.37)).settings["anchors"] == "voc"


def test_a_checkpoint_tells_its_network(no_weights, tmp_path):
    own = Description(model_name="ssd_32_tiny", labels=("cat",))
    path = str(tmp_path / "ckpt-3")
    checkpoints.write(path, {"description": own.to_json()})
    assert chosen(checkpoint_path=path).settings["model_name"] == "ssd_32_tiny"
    checkpoints.write(path, {"weights": np.zeros(1, np.float32)})
    with pytest.raises(InputError, match=r"does not say which network .*give --model_name"):
        chosen(checkpoint_path=path)


def test_what_cannot_be_is_refused_before_the_data_are_read(no_weights):
    with pytest.raises(InputError, match=r"--export=foo is not known: take some of saved_model"):
        settings(export=("foo",))
    with pytest.raises(InputError, match=r"--holdout=2 must lie in \(0, 1\)"):
        settings(holdout=2)
    with pytest.raises(InputError, match=r"--model_name=foo"):
        fit_plan.choose_network(settings(model_name="foo"))
    with pytest.raises(InputError, match=r"scripts/fetch_weights.py vgg_16"):
        fit_plan.choose_network(settings(checkpoint_path="vgg_16"))
