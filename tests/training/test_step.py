"""One step: weight decay, clipping, non-finite gradients, and the global normaliser."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from datasets.input_pipeline import Batch
from model.description import Description
from model.detector import Detector
from nets import losses
from nets.losses import Multibox
from nets.matching import Targets
from optimization import optimizers, schedules
from training.step import StepOptions, TrainStep, is_decayed

RATE = 0.1


def make_detector() -> Detector:
    description = Description(
        model_name="ssd_300_vgg", labels=("a",), depth_multiplier=0.03, input_scale=1 / 58
    )
    return Detector(description, seed=1)


def make(
    options: StepOptions, multipliers: dict[str, float] | None = None
) -> tuple[TrainStep, dict[str, tf.Variable]]:
    detector = make_detector()
    variables = detector.variables_by_name
    step = TrainStep(
        detector,
        optimizers.Optimizer(optimizers.sgd(), variables),
        schedules.fixed(RATE),
        trained=variables,
        options=options,
        multipliers=multipliers,
    )
    return step, variables


def batch(*, positives: int = 3, value: float = 20.0) -> Batch:
    classes = np.zeros((2, 8732), np.int32)
    classes[0, 100 : 100 + positives] = 1
    images = tf.random.stateless_normal([2, 300, 300, 3], (1, 2)) * value
    return Batch(images, Targets(tf.constant(classes), tf.ones([2, 8732, 4])))


def values(variables: dict[str, tf.Variable]) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in variables.items()}


def test_step_counts_and_reports():
    step, _ = make(StepOptions())
    result = {name: float(value) for name, value in step(batch()).items()}
    assert step.step.numpy() == 1
    assert result["positives"] == 3
    assert not any(name.endswith("/gradient") for name in result)
    assert result["finite"] == 1
    assert result["learning_rate"] == pytest.approx(RATE)
    assert result["loss_regularisation"] == 0
    assert result["loss"] == pytest.approx(
        result["loss_classification"] + result["loss_localisation"], rel=1e-6
    )


def test_weight_decay_acts_on_weights_alone():
    plain, decayed = make(StepOptions()), make(StepOptions(weight_decay=0.01))
    before = values(plain[1])
    plain[0](batch())
    result = decayed[0](batch())
    for name, value in before.items():
        shift = values(plain[1])[name] - values(decayed[1])[name]
        expected = RATE * 0.01 * value if is_decayed(name) else np.zeros_like(value)
        np.testing.assert_allclose(shift, expected, atol=2e-6, err_msg=name)
    squares = sum(float(np.sum(v**2)) for name, v in before.items() if is_decayed(name))
    assert float(result["loss_regularisation"]) == pytest.approx(0.01 * squares / 2, rel=1e-4)


def test_biases_and_scales_are_not_decayed():
    assert is_decayed("ssd_300_vgg/conv6/weights")
    assert not is_decayed("ssd_300_vgg/conv6/biases")
    assert not is_decayed("ssd_300_vgg/block4_box/L2Normalization/gamma")


def test_gradients_are_clipped_by_their_global_norm():
    step, variables = make(StepOptions(clip_gradient_norm=0.5))
    before = values(variables)
    norm = float(step(batch())["gradient_norm"])
    assert norm > 0.5
    moved = np.sqrt(sum(np.sum((values(variables)[n] - v) ** 2) for n, v in before.items()))
    assert moved == pytest.approx(RATE * 0.5, rel=1e-3)


def test_gradient_that_is_not_finite_changes_nothing():
    step, variables = make(StepOptions())
    before = values(variables)
    assert float(step(batch(value=np.nan))["finite"]) == 0
    for name, value in before.items():
        np.testing.assert_array_equal(values(variables)[name], value)
    assert step.step.numpy() == 1


def far_off() -> Batch:
    """Offsets so large that the loss overflows, though its gradient, signs, does not."""
    plain = batch()
    targets = plain.targets._replace(offsets=tf.fill(plain.targets.offsets.shape, 3e38))
    return plain._replace(targets=targets)


def test_loss_that_is_not_finite_changes_nothing():
    step, variables = make(StepOptions())
    before = values(variables)
    result = step(far_off())
    assert np.isinf(float(result["loss"]))
    assert np.isfinite(float(result["gradient_norm"]))
    assert float(result["finite"]) == 0
    for name, value in before.items():
        np.testing.assert_array_equal(values(variables)[name], value)


def test_unchecked_step_is_made_all_the_same():
    step, variables = make(StepOptions(check_numerics=False))
    before = values(variables)
    assert float(step(far_off())["finite"]) == 0
    assert any(np.any(values(variables)[name] != value) for name, value in before.items())


def test_batch_without_objects_gives_no_loss_and_no_nan():
    step, _ = make(StepOptions())
    result = step(batch(positives=0))
    assert float(result["loss"]) == 0
    assert float(result["finite"]) == 1


def moves(
    options: StepOptions, given: Batch, multipliers: dict[str, float] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, tf.Tensor]]:
    """What a first step subtracts from each variable, and what it reports."""
    step, variables = make(options, multipliers)
    before = values(variables)
    result = step(given)
    return {name: value - values(variables)[name] for name, value in before.items()}, result


def test_gradients_are_decayed_then_multiplied_then_clipped():
    factors = {
        "ssd_300_vgg/conv4/conv4_3/biases": 2.0,
        "ssd_300_vgg/conv4/conv4_3/weights": 3.0,
        "ssd_300_vgg/block4_box/conv_loc/biases": 0.0,
    }
    options = StepOptions(weight_decay=0.01)
    plain, _ = moves(options, batch())
    found, result = moves(options._replace(clip_gradient_norm=0.5), batch(), factors)
    expected = {name: factors.get(name, 1.0) * move for name, move in plain.items()}
    norm = np.sqrt(sum(np.sum(np.square(move / RATE)) for move in expected.values()))
    assert float(result["gradient_norm"]) == pytest.approx(norm, rel=1e-3)
    for name, move in expected.items():
        np.testing.assert_allclose(found[name], move * 0.5 / norm, atol=2e-6, err_msg=name)
    assert all(np.abs(plain[name]).max() > 1e-4 for name in factors)


def test_multiplier_of_0_leaves_nothing_of_a_gradient_or_of_its_decay():
    name = "ssd_300_vgg/conv4/conv4_3/weights"
    options = StepOptions(weight_decay=0.01, summarize_gradients=True)
    found, result = moves(options, batch(), {name: 0.0})
    assert not np.any(result[f"{name}/gradient"])
    assert not np.any(found[name])
    assert np.any(result["ssd_300_vgg/conv4/conv4_2/weights/gradient"])


def uneven_batch() -> Batch:
    """Four images; nearly all positives lie in the first half."""
    images = tf.concat([batch().images, batch(value=30.0).images], axis=0)
    classes = np.zeros((4, 8732), np.int32)
    classes[0, 100:109] = classes[1, 300:303] = classes[3, 50] = 1
    return Batch(images, Targets(tf.constant(classes), tf.ones([4, 8732, 4])))


def test_accumulated_parts_take_the_step_of_the_whole_batch():
    (whole, of_whole), (parts, of_parts) = (
        moves(StepOptions(weight_decay=0.01, accumulate_steps=parts), uneven_batch())
        for parts in (1, 2)
    )
    for name, move in whole.items():
        np.testing.assert_allclose(parts[name], move, rtol=1e-4, atol=1e-6, err_msg=name)
    for name in ("loss", "gradient_norm", "positives"):
        assert float(of_parts[name]) == pytest.approx(float(of_whole[name]), rel=2e-6)


def entropies(given: Batch) -> np.ndarray:
    """f64[B, A]: losses of the untrained network, by NumPy from its logits, rising."""
    logits = make_detector().predict(given.images).logits.numpy().astype(np.float64)
    true = np.take_along_axis(logits, given.targets.classes.numpy()[..., None], axis=2)[..., 0]
    return np.sort(np.log(np.exp(logits).sum(axis=2)) - true, axis=1)


def test_pictures_without_objects_may_teach_and_pictures_divide_the_loss():
    given = batch(positives=0)
    found, _ = make(StepOptions(loss=Multibox(min_negatives_per_image=7), loss_normalizer="batch"))
    expected = entropies(given)[:, -7:].sum() / 2
    assert float(found(given)["loss_classification"]) == pytest.approx(expected, rel=1e-4)


def test_annealed_mining_is_half_way_at_half_its_steps():
    given = batch(positives=0)
    step, _ = make(StepOptions(loss=Multibox(hard_example_mining_step=10)))
    step.step.assign(5)
    expected = entropies(given)[:, -4366:].sum()
    assert float(step(given)["loss_classification"]) == pytest.approx(expected, rel=1e-4)


def test_gradients_are_reported_as_applied_on_request():
    options = StepOptions(weight_decay=0.01, clip_gradient_norm=0.5, summarize_gradients=True)
    found, result = moves(options, batch())
    for name, move in found.items():
        np.testing.assert_allclose(move, RATE * result[f"{name}/gradient"], atol=1e-6)


@dataclasses.dataclass(frozen=True)
class Toy:
    """Three parts, of which the third is its option times the positives."""

    objectness: float = 0.0
    parts = ("classification", "localisation", "objectness")

    def __call__(self, predictions, targets, *, step=None):
        positives = tf.reduce_sum(tf.cast(targets.classes > 0, tf.float32))
        parts = Multibox()(predictions, targets, step=step)
        return {**parts, "objectness": self.objectness * positives}


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_part_of_another_loss_is_reported_and_summed_under_its_name(monkeypatch, accumulate_steps):
    monkeypatch.setitem(losses.LOSSES, "toy", Toy)
    toy = losses.make("toy", {"objectness": 0.25, "label_smoothing": 0.5})
    step, _ = make(StepOptions(loss=toy, accumulate_steps=accumulate_steps))
    result = {name: float(value) for name, value in step(batch()).items()}
    assert result["loss_objectness"] == pytest.approx(0.25)
    parts = [result[f"loss_{part}"] for part in (*Toy.parts, "regularisation")]
    assert result["loss"] == pytest.approx(sum(parts), rel=1e-6)
