"""What a checkpoint of a training holds: moving averages among it."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

import tf_utils
from datasets.input_pipeline import Batch
from model import checkpoints
from model.detector import Detector
from nets import nets_factory, ssd_tiny_32
from nets.matching import Targets
from nets.variables import constant, update_state
from runtime.errors import InputError
from training import state as train_state
from training.initial_weights import InitialWeights
from training.settings import TrainSettings
from training.state import TrainState

SUFFIX = "/ExponentialMovingAverage"
SETTINGS = TrainSettings(
    train_dir="train",
    dataset_dir="records",
    seed=1,
    precision="float32",
    depth_multiplier=0.03,
    batch_size=1,
    learning_rate=0.0001,
    learning_rate_decay_type="fixed",
    moving_average_decay=0.3,
)


def resolve(settings: TrainSettings, earlier=None, *, labels=("a", "b"), **data):
    data = {"num_samples": 10, "fingerprint": "f1", **data}
    return train_state.resolve(settings, labels, earlier, InitialWeights(), **data)


def make(settings: TrainSettings = SETTINGS) -> TrainState:
    settings, description = resolve(settings)
    return TrainState(settings, description, num_samples=10, fingerprint="f1")


def batch(seed: int) -> Batch:
    classes = np.zeros((1, 8732), np.int32)
    classes[0, 100 * seed : 100 * seed + 3] = 1
    images = tf.random.stateless_normal([1, 300, 300, 3], (seed, 0)) * 50.0
    return Batch(images, Targets(tf.constant(classes), tf.ones([1, 8732, 4])))


def numbers(state: TrainState) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in state.variables().items()}


@pytest.fixture(scope="module")
def history():
    """The state after 0, 1, 2 and 3 steps, and what a checkpoint of the last holds."""
    state = make()
    values = [numbers(state)]
    for seed in (1, 2, 3):
        state.step(batch(seed))
        values.append(numbers(state))
    return values, state.tensors()


def test_averages_in_the_state_follow_numpy(history):
    values, _ = history
    names = [name.removesuffix(SUFFIX) for name in values[0] if name.endswith(SUFFIX)]
    assert len(names) == 71
    for name in names:
        average = values[0][name]
        for decay, after in zip((0.1, 2 / 11, 0.25), values[1:], strict=True):
            average = decay * average + (1 - decay) * after[name]
        np.testing.assert_allclose(values[3][name + SUFFIX], average, atol=1e-7, err_msg=name)
    moved = f"{names[0]}{SUFFIX}"
    assert np.abs(values[3][moved] - values[3][names[0]]).max() > 1e-6


def test_loss_follows_numpy_for_the_flags_that_are_given():
    flags = {"loss_alpha": 2.0, "negative_ratio": 7.0, "label_smoothing": 0.3}
    state, given = make(dataclasses.replace(SETTINGS, **flags)), batch(1)
    logits, offsets = (value.numpy()[0] for value in state.detector.predict(given.images))
    positive = given.targets.classes.numpy()[0] > 0
    target = np.where(positive[:, None], [0.1, 0.8, 0.1], [0.8, 0.1, 0.1])
    exact = logits.astype(np.float64)
    entropy = np.log(np.exp(exact).sum(axis=1)) - (target * exact).sum(axis=1)
    learnt = [*entropy[positive], *np.sort(entropy[~positive])[-21:]]
    away = np.abs(offsets[positive] - 1)
    result = state.step(given)
    assert float(result["loss_classification"]) == pytest.approx(sum(learnt) / 3, rel=1e-4)
    expected = 2 * np.where(away < 1, away**2 / 2, away - 0.5).sum() / 3
    assert float(result["loss_localisation"]) == pytest.approx(expected, rel=1e-4)


def test_restored_state_goes_on_to_the_last_bit(history, tmp_path):
    _, tensors = history
    path = checkpoints.save(str(tmp_path), 3, tensors)
    again = make()
    assert again.check_fits(checkpoints.read(path)) is None
    again.restore(checkpoints.read(path))
    straight = make()
    for seed in (1, 2, 3, 4):
        straight.step(batch(seed))
    again.step(batch(4))
    for name, value in numbers(straight).items():
        np.testing.assert_array_equal(numbers(again)[name], value, err_msg=name)


def test_detector_takes_the_averages_unless_told_otherwise(history, tmp_path):
    values, tensors = history
    path = checkpoints.save(str(tmp_path), 3, tensors)
    for use, suffix in ((True, SUFFIX), (False, "")):
        detector = Detector.from_checkpoint(path, precision="float32", use_moving_average=use)
        for name, variable in detector.variables_by_name.items():
            np.testing.assert_array_equal(variable, values[3][name + suffix], err_msg=name)


def test_averages_begin_at_imported_weights():
    state = make()
    weights = {name: v.numpy() + 1.0 for name, v in state.detector.variables_by_name.items()}
    state.begin_with(weights)
    for name, value in weights.items():
        np.testing.assert_array_equal(numbers(state)[name], value)
        np.testing.assert_array_equal(numbers(state)[name + SUFFIX], value)


def test_without_the_flag_there_are_no_averages():
    state = make(dataclasses.replace(SETTINGS, moving_average_decay=None))
    assert not any(name.endswith(SUFFIX) for name in state.variables())


@pytest.fixture
def earlier(history):
    """What a run of ten images left, as `checkpoints.read` gives it."""
    return {name: np.asarray(value) for name, value in history[1].items()}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"moving_average_decay": 0.9}, "--moving_average_decay=0.9 differs from the 0.3 of"),
        (
            {"dataset_split_name": "trainval"},
            "--dataset_split_name=trainval differs from the train",
        ),
        ({"accumulate_steps": 4}, r"a step takes \(--batch_size .*\), 4, differs from the 1 of"),
    ],
)
def test_flag_that_changes_the_course_is_refused_at_a_resume(earlier, flags, said):
    with pytest.raises(InputError, match=said):
        resolve(dataclasses.replace(SETTINGS, **flags), earlier)


def test_other_data_are_refused_at_a_resume(earlier):
    with pytest.raises(InputError, match="images in the records, 12, differs from the 10 of"):
        resolve(SETTINGS, earlier, num_samples=12)
    with pytest.raises(InputError, match="checksum of the records, f2, differs from the f1 of"):
        resolve(SETTINGS, earlier, fingerprint="f2")
    with pytest.raises(
        InputError, match="list of classes in the records, a,c, differs from the a,b of"
    ):
        resolve(SETTINGS, earlier, labels=("a", "c"))


def test_run_of_which_less_is_known_goes_on(earlier):
    """As runs did before the split, the number of images and their checksum were kept."""
    facts = json.loads(earlier["training"].item())
    del facts["dataset_split_name"], facts["num_samples"], facts["fingerprint"]
    known = {**earlier, "training": np.asarray(json.dumps(facts).encode(), object)}
    other = dataclasses.replace(SETTINGS, dataset_split_name="trainval")
    assert resolve(other, known, num_samples=12)[0].seed == 1


@pytest.mark.parametrize(
    "text",
    [
        *(b"{", b"[]x", b"3", b"[[1]]", b"\xff", b"[" * 100_000, b'{"odd": 1}'),
        *(b'{"seed": "x"}', b'{"seed": [1]}', b'{"batch_norm": 3}'),
    ],
)
def test_facts_that_cannot_be_understood_are_bad_input(earlier, text):
    with pytest.raises(InputError, match="says of its training cannot be understood"):
        resolve(SETTINGS, {**earlier, "training": np.asarray(text, object)})


def test_checkpoint_of_something_else_is_not_gone_on_with():
    """Such as TensorFlow's own Checkpoint, whose files have the names of ours."""
    earlier = {"save_counter": np.int64(7)}
    with pytest.raises(InputError, match="train holds a checkpoint that is not one of a training"):
        resolve(SETTINGS, earlier)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_decay_outside_its_range_is_refused(decay):
    with pytest.raises(InputError, match="--moving_average_decay"):
        dataclasses.replace(SETTINGS, moving_average_decay=decay)


COUNT, MEAN = "ssd_32_tiny/count", "ssd_32_tiny/count/ExponentialMovingAverage"


def build_counting(inputs, *, training, **options):
    """The tiny network over a count of its training steps, which is state."""
    count = slim.model_variable("count", shape=[], initializer=constant(1.0), trainable=False)
    if training:
        update_state("count", count + 1.0)
    return ssd_tiny_32.network(inputs / tf.cast(count, inputs.dtype), **options)


def tiny_batch(*, brightness: float) -> Batch:
    classes = np.zeros((1, ssd_tiny_32.PARAMETERS.num_anchors), np.int32)
    classes[0, :3] = 1
    images = tf.fill([1, 32, 32, 3], brightness)
    return Batch(images, Targets(tf.constant(classes), tf.ones([*classes.shape, 4])))


@pytest.fixture
def counting(monkeypatch):
    """Settings for a network with state."""
    record = ssd_tiny_32.NETWORK._replace(build=build_counting)
    monkeypatch.setitem(nets_factory.NETWORKS, "ssd_32_tiny", record)
    return dataclasses.replace(SETTINGS, model_name="ssd_32_tiny", weight_decay=0.1)


def test_state_is_saved_and_restored_and_never_trained(counting, tmp_path):
    state = make(counting)
    variables = state.detector.variables_by_name
    assert variables.keys() - tf_utils.get_variables_to_train(variables) == {COUNT}
    for _ in range(3):
        state.step(tiny_batch(brightness=50.0))
    assert not [name for name in state.variables() if name.startswith(f"{COUNT}/Mom")]
    path = checkpoints.save(str(tmp_path), 3, state.tensors())
    again = make(counting)
    again.restore(checkpoints.read(path))
    assert numbers(again)[COUNT] == 4.0
    assert 1.0 < numbers(again)[MEAN] < 4.0
    for average, value in ((True, numbers(state)[MEAN]), (False, 4.0)):
        detector = Detector.from_checkpoint(path, use_moving_average=average)
        assert detector.state_by_name[COUNT].numpy() == value


def test_step_that_is_left_out_leaves_state_as_it_was(counting):
    state = make(counting)
    result = state.step(tiny_batch(brightness=np.nan))
    assert (float(result["finite"]), numbers(state)[COUNT]) == (0.0, 1.0)
    state.step(tiny_batch(brightness=50.0))
    assert numbers(state)[COUNT] == 2.0


def test_scope_of_state_alone_holds_nothing_to_train(counting):
    with pytest.raises(InputError, match="holds no variable"):
        make(dataclasses.replace(counting, trainable_scopes=(COUNT,)))
