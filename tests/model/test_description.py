"""What is assumed of a checkpoint without a description."""

import dataclasses
import json
import types

import numpy as np
import pytest

from model.description import CheckpointOverrides, Description
from model.detector import Detector
from runtime.errors import InputError


def from_shapes(shapes, *, labels=None, model_name="ssd_300_vgg") -> Description:
    return Description.from_shapes(shapes, model_name=model_name, labels=labels, anchors="coco")


@pytest.fixture(scope="module")
def shapes():
    description = Description(
        model_name="ssd_300_vgg", labels=("a", "b", "c"), depth_multiplier=0.0625
    )
    variables = Detector(description).variables_by_name
    return {name: tuple(variable.shape) for name, variable in variables.items()}


def test_shapes_tell_classes_and_width(shapes):
    assert from_shapes(shapes, labels=("cat", "dog", "emu")) == Description(
        model_name="ssd_300_vgg",
        labels=("cat", "dog", "emu"),
        anchors="coco",
        depth_multiplier=0.0625,
        input_scale=1.0,
    )


def test_classes_without_labels_are_numbered(shapes):
    assert from_shapes(shapes).labels == ("class_1", "class_2", "class_3")


def test_labels_of_another_number_are_refused(shapes):
    with pytest.raises(InputError, match=r"has 4 classes with background.* there are 2 labels"):
        from_shapes(shapes, labels=("cat", "dog"))


def test_checkpoint_of_another_network_is_refused(shapes):
    others = {f"vgg_16/{name}": shape for name, shape in shapes.items()}
    with pytest.raises(InputError, match="so it is not of ssd_300_vgg: give --model_name"):
        from_shapes(others)


def test_checkpoint_of_widths_that_no_flag_gives_is_refused(shapes):
    name = "ssd_300_vgg/conv3/conv3_1/weights"
    with pytest.raises(InputError, match="of no --depth_multiplier of ssd_300_vgg"):
        from_shapes({**shapes, name: (*shapes[name][:3], 99)})


def bare(shapes) -> dict[str, np.ndarray]:
    """Tensors of these shapes, of no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def test_anchors_that_nobody_says_are_ssd_tensorflows_and_a_line_says_so(shapes, capsys):
    assert CheckpointOverrides().describe(bare(shapes)) == from_shapes(shapes)
    assert capsys.readouterr().out.startswith("NOTE: the checkpoint does not name its anchors")
    told = CheckpointOverrides(anchors="voc", labels=("cat", "dog", "emu"), num_classes=4)
    found = told.describe(bare(shapes))
    assert (found.anchors, found.labels) == ("voc", ("cat", "dog", "emu"))
    assert capsys.readouterr().out == ""


KNOWN = Description(model_name="ssd_300_vgg", labels=("cat", "dog"))


@pytest.mark.parametrize(("name", "side"), [("ssd_300_vgg", 300), ("ssd_512_vgg", 512)])
def test_picture_size_is_told_to_other_readers(name, side):
    known = dataclasses.replace(KNOWN, model_name=name)
    assert json.loads(known.to_json())["image_size"] == [side, side]
    assert Description.from_json(known.to_json()) == known


def test_description_of_an_earlier_version_has_no_picture_size():
    fields = json.loads(KNOWN.to_json())
    del fields["image_size"]
    assert Description.from_json(json.dumps(fields)) == KNOWN


def test_word_of_the_checkpoint_goes_before_any_guess(capsys):
    tensors = {"description": np.array(KNOWN.to_json().encode(), object)}
    assert CheckpointOverrides().describe(tensors) == KNOWN
    same = CheckpointOverrides("ssd_300_vgg", num_classes=3, anchors="voc", labels=("cat", "dog"))
    assert same.describe(tensors) == KNOWN
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("hints", "said"),
    [
        (
            CheckpointOverrides(model_name="ssd_512_vgg"),
            "--model_name=ssd_512_vgg differs from the .* ssd_300_",
        ),
        (
            CheckpointOverrides(num_classes=2),
            "--num_classes=2 differs from the checkpoint's 3: remove the flag",
        ),
        (CheckpointOverrides(anchors="coco"), "--anchors=coco differs from the checkpoint's voc"),
        (
            CheckpointOverrides(labels=("cat",)),
            "has the classes cat, dog and --labels_file has cat: give",
        ),
        (
            CheckpointOverrides(labels=("a", "b"), labels_from="bccd"),
            "cat, dog and bccd has a, b: give those",
        ),
    ],
)
def test_disagreement_with_the_checkpoint_is_refused(hints, said):
    with pytest.raises(InputError, match=said):
        hints.check(KNOWN)


def test_hints_come_from_the_flags(tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    flags = {"model_name": None, "num_classes": 3, "anchors": "coco"}
    given = types.SimpleNamespace(**flags, labels_file=str(tmp_path / "labels.txt"))
    assert CheckpointOverrides.of_flags(given) == CheckpointOverrides(
        None, 3, "coco", ("cat", "dog")
    )
    given.labels_file = None
    assert CheckpointOverrides.of_flags(given).labels is None


BROKEN = {
    "no JSON": "{",
    "nothing": "",
    "a list": "[]",
    "a list of pairs": "[[1, 2]]",
    "a number": "3",
    "nested": "[" * 100_000,
    "of no format": "{}",
    "of a nested format": '{"format": [[1]]}',
    "of labels alone": '{"format": 1, "labels": ["a"]}',
}
FORGED = {
    **{f"labels {v}": {"labels": v} for v in ("cat", [], [1], ["a", "a"], ["\x1b"], None)},
    **{f"width {v}": {"depth_multiplier": v} for v in ("1", 1000, -1, None, True, 1e999, [1])},
    **{f"scale {v}": {"input_scale": v} for v in (0, "x", float("nan"))},
    **{f"anchors {v}": {"anchors": v} for v in (3, "tiny", ["voc"], "1e999-2," * 6)},
    **{f"network {v}": {"model_name": v} for v in (3, "other", ["ssd_300_vgg"])},
    **{f"score {v}": {"score": v} for v in ("x", 1, ["softmax"])},
    **{f"precision {v}": {"precision": v} for v in ("float8", 32)},
    "preprocessing": {"preprocessing_name": 3},
    "centres": {"half_pixel_centers": "no"},
    "another field": {"size": 3},
}


@pytest.mark.parametrize("kind", [*BROKEN, *FORGED])
def test_description_of_something_else_is_bad_input(kind):
    forged = json.dumps(json.loads(KNOWN.to_json()) | FORGED.get(kind, {}))
    with pytest.raises(InputError, match=r"checkpoint|--\w+=|labels|class"):
        Description.from_json(BROKEN.get(kind, forged))


@pytest.mark.parametrize(
    "tensor", [np.array(b"\xff\xfe", object), np.float32(1), np.array([b"a", b"b"], object)]
)
def test_description_that_is_no_text_is_bad_input(tensor):
    with pytest.raises(InputError, match="text in the checkpoint cannot be read"):
        CheckpointOverrides().describe({"description": np.asarray(tensor)})
