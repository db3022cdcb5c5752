"""The step in float16 with a loss scale, and compiled by XLA: the same step, but for rounding."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from datasets.input_pipeline import Batch
from model import checkpoints
from nets.matching import Targets
from runtime.errors import InputError
from training import state as train_state
from training.initial_weights import InitialWeights
from training.settings import TrainSettings
from training.state import TrainState

FLOAT32 = TrainSettings(
    train_dir="train",
    dataset_dir="records",
    seed=1,
    precision="float32",
    depth_multiplier=0.03,
    batch_size=2,
    optimizer="sgd",
    learning_rate=0.001,
    learning_rate_decay_type="fixed",
)
FLOAT16 = dataclasses.replace(FLOAT32, precision="mixed_float16")
TOO_LARGE = 2.0**24


def make(settings: TrainSettings, *, scale: float | None = None) -> TrainState:
    settings, description = train_state.resolve(
        settings, ("a", "b"), None, InitialWeights(), num_samples=10
    )
    state = TrainState(settings, description, num_samples=10)
    if scale:
        state.variables()["loss_scale"].assign(scale)
    return state


def batch(*, offset: float = 1.0) -> Batch:
    classes = np.zeros((2, 8732), np.int32)
    classes[0, 100:103] = classes[1, 7000] = 1
    images = tf.random.stateless_normal([2, 300, 300, 3], (1, 2)) * 40.0
    return Batch(images, Targets(tf.constant(classes), tf.fill([2, 8732, 4], offset)))


def numbers(state: TrainState) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.variables().items()}


def moves(state: TrainState) -> tuple[dict[str, np.ndarray], dict[str, tf.Tensor]]:
    """What a step adds to each weight, and what it reports."""
    weights = state.detector.variables_by_name
    before = {name: variable.numpy() for name, variable in weights.items()}
    result = state.step(batch())
    return {name: weights[name].numpy() - value for name, value in before.items()}, result


@pytest.fixture(scope="module")
def plain():
    """The step of float32."""
    return moves(make(FLOAT32))


def assert_alike(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray], share: float) -> None:
    """Each variable moves as far and into the direction, within a share of its move."""
    for name, move in wanted.items():
        error = np.linalg.norm(found[name] - move)
        assert error <= share * np.linalg.norm(move) + 1e-9, name


def test_step_in_float16_is_that_of_float32_whatever_its_scale(plain):
    move, result = moves(make(FLOAT16, scale=8.0))
    assert result["loss_scale"] == 8.0
    assert float(result["loss"]) == pytest.approx(float(plain[1]["loss"]), rel=0.01)
    assert float(result["gradient_norm"]) == pytest.approx(
        float(plain[1]["gradient_norm"]), rel=0.02
    )
    assert_alike(move, plain[0], 0.3)  # rounding picks other hard negatives


@pytest.mark.parametrize("checked", [True, False])
def test_overflow_of_the_scale_is_left_out_and_is_no_fault(checked):
    state = make(dataclasses.replace(FLOAT16, check_numerics=checked), scale=TOO_LARGE)
    before = numbers(state)
    result = state.step(batch())
    assert np.isfinite(float(result["loss"]))
    assert not np.isfinite(float(result["gradient_norm"]))
    assert float(result["finite"]) == 1
    after = numbers(state)
    assert (after.pop("loss_scale"), after.pop("global_step")) == (TOO_LARGE / 2, 1)
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_loss_that_is_not_finite_is_a_fault_in_float16_too():
    state = make(FLOAT16)
    before = numbers(state)
    assert float(state.step(batch(offset=3e38))["finite"]) == 0
    assert numbers(state)["loss_scale"] == before["loss_scale"]


def test_resumed_float16_goes_on_to_the_last_bit(tmp_path):
    straight = make(dataclasses.replace(FLOAT16, optimizer="momentum"), scale=8.0)
    straight.step(batch())
    path = checkpoints.save(str(tmp_path), 1, straight.tensors())
    again = make(dataclasses.replace(FLOAT16, optimizer="momentum"))
    assert again.check_fits(checkpoints.read(path)) is None
    again.restore(checkpoints.read(path))
    found, wanted = moves(again), moves(straight)
    assert found[1]["loss_scale"] == wanted[1]["loss_scale"] == 8.0
    assert np.abs(wanted[0]["ssd_300_vgg/conv1/conv1_1/weights"]).max() > 0
    for name, value in numbers(straight).items():
        np.testing.assert_array_equal(numbers(again)[name], value, err_msg=name)


@pytest.mark.slow
def test_compiled_step_is_the_plain_step(plain):
    """Half a minute, most of it XLA's."""
    found, result = moves(make(dataclasses.replace(FLOAT32, jit=True)))
    for name in ("loss", "gradient_norm", "positives"):
        assert float(result[name]) == pytest.approx(float(plain[1][name]), rel=1e-5)
    assert_alike(found, plain[0], 1e-3)


def test_layout_of_channels_first_is_refused():
    assert dataclasses.replace(FLOAT32, data_format="NHWC")
    with pytest.raises(InputError, match="--data_format=NCHW: the network is written in NHWC"):
        dataclasses.replace(FLOAT32, data_format="NCHW")
