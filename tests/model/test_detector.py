"""The detector object: four verbs, its checkpoint, and its description."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from model import checkpoints
from model.description import CheckpointOverrides, Description
from model.detector import Detector, count_positives
from nets.losses import Multibox
from nets.matching import Targets
from runtime.errors import InputError

DESCRIPTION = Description(
    model_name="ssd_300_vgg",
    labels=("cat", "dog"),
    anchors="coco",
    depth_multiplier=0.0625,
    input_scale=1 / 58,
)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(DESCRIPTION, seed=5)


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def as_floats(scalars: dict[str, tf.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in scalars.items()}


def save(detector: Detector, folder, text: str | None = None) -> str:
    text = DESCRIPTION.to_json() if text is None else text
    description = {"description": tf.constant(text)}
    return checkpoints.save(str(folder), 1, {**detector.variables_by_name, **description})


def test_description_survives_json():
    assert Description.from_json(DESCRIPTION.to_json()) == DESCRIPTION


def test_description_of_a_newer_version_is_refused():
    with pytest.raises(InputError, match="newer version"):
        Description.from_json(DESCRIPTION.to_json().replace('"format": 1', '"format": 2'))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_name": "ssd_9"}, "ssd_9"),
        ({"anchors": "tiny"}, "--anchors=tiny"),
        ({"depth_multiplier": 0.0}, "--depth_multiplier=0.0"),
        ({"depth_multiplier": 1000.0}, "--depth_multiplier=1000.0 must be above 0 and at most 4:"),
    ],
)
def test_description_refuses_what_does_not_exist(changes, said):
    with pytest.raises(InputError, match=said):
        Description(**{"model_name": "ssd_300_vgg", "labels": ("a",), **changes})


def test_preprocess_makes_network_input_of_any_picture(detector):
    inputs = detector.preprocess(tf.constant(np.full((7, 9, 3), 130, np.uint8)))
    assert inputs.shape == (300, 300, 3)
    np.testing.assert_allclose(inputs[0, 0], [130 - 123, 130 - 117, 130 - 104], atol=1e-4)


def test_predict_gives_float32_of_all_anchors(detector):
    predictions = detector.predict(tf.zeros([2, 300, 300, 3]))
    assert predictions.logits.shape == (2, 8732, 3)
    assert predictions.offsets.shape == (2, 8732, 4)
    assert predictions.logits.dtype == tf.float32


def test_feature_maps_are_what_the_predictors_read(detector):
    maps = detector.feature_maps(tf.zeros([2, 300, 300, 3]))
    assert {name: each.shape[1] for name, each in maps.items()} == {
        layer.name: layer.size for layer in detector.parameters.layers
    }
    assert all(each.shape[0] == 2 and each.dtype == tf.float32 for each in maps.values())


def test_input_scale_multiplies_the_input(detector):
    plain = Detector(dataclasses.replace(DESCRIPTION, input_scale=1.0), seed=5)
    inputs = tf.random.stateless_normal([1, 300, 300, 3], (1, 2), stddev=50.0)
    scaled = plain.predict(inputs / 58.0).logits
    np.testing.assert_allclose(detector.predict(inputs).logits, scaled, rtol=1e-3, atol=1e-4)


def test_loss_divides_sums_by_positives_or_by_what_it_is_given(detector):
    predictions = detector.predict(tf.random.stateless_normal([1, 300, 300, 3], (3, 4)))
    classes = tf.one_hot([[5, 9]], 8732, on_value=1, off_value=0, dtype=tf.int32)
    targets = Targets(tf.reduce_sum(classes, axis=1), tf.ones([1, 8732, 4]))
    assert count_positives(targets) == 2
    by_positives = as_floats(detector.loss(predictions, targets))
    ten = tf.constant(10.0)
    tripled = Multibox(loss_alpha=3.0)
    by_ten = as_floats(detector.loss(predictions, targets, normalizer=ten, loss=tripled))
    assert by_positives["classification"] * 2 == pytest.approx(by_ten["classification"] * 10)
    assert by_positives["localisation"] * 6 == pytest.approx(by_ten["localisation"] * 10)


def test_loss_of_pictures_without_objects_is_zero(detector):
    predictions = detector.predict(tf.zeros([2, 300, 300, 3]))
    targets = Targets(tf.zeros([2, 8732], tf.int32), tf.zeros([2, 8732, 4]))
    losses = as_floats(detector.loss(predictions, targets))
    assert losses == {"classification": 0.0, "localisation": 0.0}


def test_checkpoint_gives_the_same_detector_again(detector, tmp_path):
    path = save(detector, tmp_path)
    again = Detector.from_checkpoint(path, precision="float32")
    assert again.description == DESCRIPTION
    image, original = picture(), Detector(DESCRIPTION, seed=5)
    original.freeze()
    mine, theirs = (d.detect([image], select_threshold=0.3)[0] for d in (original, again))
    np.testing.assert_array_equal(mine.boxes, theirs.boxes)
    np.testing.assert_array_equal(mine.scores, theirs.scores)


def test_frozen_detector_keeps_its_weights_until_others_are_loaded(detector):
    copy, thresholds = Detector(DESCRIPTION, seed=6), {"select_threshold": 0.3}
    weights = {name: value.numpy() for name, value in detector.variables_by_name.items()}
    copy.load(weights)
    (plain,) = copy.detect([picture()], **thresholds)
    copy.freeze()
    (frozen,) = copy.detect([picture()], **thresholds)
    np.testing.assert_allclose(frozen.scores, plain.scores, atol=1e-5)
    for variable in copy.variables_by_name.values():
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(copy.detect([picture()], **thresholds)[0].scores, frozen.scores)
    copy.load({name: np.zeros_like(value) for name, value in weights.items()})
    (empty,) = copy.detect([picture()], **thresholds)
    np.testing.assert_allclose(empty.scores, 1 / 3, atol=1e-6)


def test_frozen_prediction_is_the_prediction(detector):
    inputs = tf.random.stateless_normal([2, 300, 300, 3], (1, 2), stddev=50.0)
    frozen = tf.function(lambda x: detector.predict(x, frozen=True), autograph=False)(inputs)
    for one, other in zip(frozen, detector.predict(inputs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


def test_detect_gives_unpadded_results_picture_by_picture(detector):
    found = detector.detect([picture(), picture(90, 30)], select_threshold=0.34, keep_top_k=5)
    assert len(found) == 2
    for one in found:
        assert len(one.boxes) == len(one.classes) == len(one.scores) <= 5
        assert np.all(one.scores >= 0.34)
        assert set(one.classes) <= {1, 2}
        assert np.all(np.diff(one.scores) <= 0)
    assert detector.detect([]) == []


def test_checkpoint_that_does_not_describe_itself_is_what_the_user_says(detector, tmp_path):
    path = checkpoints.save(str(tmp_path), 1, detector.variables_by_name)
    hints = CheckpointOverrides(anchors="voc", labels=DESCRIPTION.labels)
    told = Detector.from_checkpoint(path, hints=hints).description
    assert told == dataclasses.replace(DESCRIPTION, anchors="voc", input_scale=1.0)
    guessed = Detector.from_checkpoint(path).description
    assert (guessed.labels, guessed.anchors) == (("class_1", "class_2"), "coco")


def test_checkpoint_of_another_shape_is_refused_by_name(detector, tmp_path):
    twice = 2 * DESCRIPTION.depth_multiplier
    text = dataclasses.replace(DESCRIPTION, depth_multiplier=twice).to_json()
    with pytest.raises(InputError, match=r"weights is .*, the network's is"):
        Detector.from_checkpoint(save(detector, tmp_path, text))


def test_checkpoint_of_more_classes_than_its_weights_is_refused(detector, tmp_path):
    path = save(detector, tmp_path, DESCRIPTION.to_json().replace('"dog"', '"dog", "cow"'))
    with pytest.raises(InputError, match=r"as one of 4 classes with background, .* are of 3"):
        Detector.from_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(detector, value):
    weights = {name: v.numpy() for name, v in detector.variables_by_name.items()}
    last = list(weights)[-1]
    weights[last].flat[-1] = value
    with pytest.raises(InputError, match=f"{last} holds NaN or infinity"):
        detector.load(weights)


def test_bfloat16_keeps_float32_weights_and_comes_close(detector, tmp_path):
    low = Detector.from_checkpoint(save(detector, tmp_path), precision="bfloat16")
    assert {v.dtype for v in low.variables_by_name.values()} == {tf.float32}
    inputs = tf.random.stateless_normal([1, 300, 300, 3], (1, 2), stddev=50.0)
    exact, rough = detector.predict(inputs).logits, low.predict(inputs).logits
    assert float(tf.reduce_mean(tf.abs(exact - rough))) < 0.05 * float(tf.math.reduce_std(exact))
