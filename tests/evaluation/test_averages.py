"""Which weights an evaluation takes, and what it refuses."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets.input_pipeline import Batch
from datasets.records import features
from evaluation.evaluate import evaluate_checkpoint
from evaluation.settings import EvalSettings
from model import checkpoints
from model.description import Description
from model.detector import Detector
from nets.matching import Targets
from runtime.errors import InputError
from training import state as train_state
from training.initial_weights import InitialWeights
from training.settings import TrainSettings
from training.state import TrainState


def settings(path: str, **flags) -> EvalSettings:
    return EvalSettings(checkpoint_path=path, eval_dir="eval", dataset_dir="absent", **flags)


def test_decay_flag_insists_on_averages(tmp_path):
    description = Description(model_name="ssd_300_vgg", labels=("a",), depth_multiplier=0.03)
    tensors = Detector(description).variables_by_name
    path = checkpoints.save(str(tmp_path), 1, {**tensors, "description": description.to_json()})
    with pytest.raises(InputError, match=r"--moving_average_decay=0.9 .*has none"):
        evaluate_checkpoint(settings(path, moving_average_decay=0.9))
    with pytest.raises(InputError, match="absent"):  # past the weights, to the missing records
        evaluate_checkpoint(settings(path))


def test_decay_flag_with_a_torn_checkpoint_is_bad_input(tmp_path):
    (tmp_path / "ckpt-1.index").write_text("torn")
    with pytest.raises(InputError, match=r"Checkpoint .*/ckpt-1 cannot be read"):
        evaluate_checkpoint(settings(str(tmp_path / "ckpt-1"), moving_average_decay=0.9))


def test_decay_flag_and_raw_weights_contradict_each_other():
    with pytest.raises(InputError, match="remove one of them"):
        settings("train", moving_average_decay=0.9, use_moving_average=False)


LABELS = ("a", "b")
TRAINING = TrainSettings(
    train_dir="train",
    dataset_dir="records",
    seed=1,
    precision="float32",
    depth_multiplier=0.03,
    batch_size=1,
    learning_rate=0.0001,
    learning_rate_decay_type="fixed",
    moving_average_decay=0.9,
)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (300, 300, 3), np.uint8)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Path of the checkpoint of a short run, and its weights after each step, by name."""
    resolved, description = train_state.resolve(
        TRAINING, LABELS, None, InitialWeights(), num_samples=4
    )
    state = TrainState(resolved, description, num_samples=4)
    weights = state.detector.variables_by_name
    course = [{name: variable.numpy() for name, variable in weights.items()}]
    classes = np.zeros((1, 8732), np.int32)
    classes[0, 100:120] = 1
    for step in range(3):
        images = tf.constant(noise(step)[None], tf.float32) - 120.0
        state.step(Batch(images, Targets(tf.constant(classes), tf.ones([1, 8732, 4]))))
        course.append({name: variable.numpy() for name, variable in weights.items()})
    folder = tmp_path_factory.mktemp("run")
    return checkpoints.save(str(folder), 3, state.tensors()), course


@pytest.fixture(scope="module")
def dataset_dir(tmp_path_factory) -> str:
    """Records of one image with one object."""
    folder = tmp_path_factory.mktemp("records")
    (folder / "labels.txt").write_text("a\nb\n")
    with tf.io.TFRecordWriter(str(folder / "noise_test_000.tfrecord")) as writer:
        writer.write(
            features.encode_example(
                encoded=cv2.imencode(".png", noise(9))[1].tobytes(), image_format="PNG",
                height=300, width=300, channels=3, filename="9.png",
                boxes=np.float32([[0.1, 0.1, 0.6, 0.6]]), labels=[1], names=["a"],
                difficult=[0], truncated=[0],
            )
        )  # fmt: skip
    return str(folder)


def scores(path: str, dataset_dir: str, eval_dir, **flags) -> np.ndarray:
    """Scores of what an evaluation finds, as its devkit files have them, rising."""
    evaluate_checkpoint(
        EvalSettings(
            checkpoint_path=path, eval_dir=str(eval_dir), dataset_dir=dataset_dir,
            dataset_name="noise", labels_file=f"{dataset_dir}/labels.txt", precision="float32",
            write_detections=True, summary_pictures=0, keep_top_k=20000, select_top_k=8732,
            nms_threshold=0.99, **flags,
        )
    )  # fmt: skip
    files = [eval_dir / f"comp4_det_test_{label}.txt" for label in LABELS]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return np.sort([float(line.split()[1]) for line in lines])


def test_averages_are_scored_as_numpys_and_not_as_the_raw_weights(course, dataset_dir, tmp_path):
    path, (average, *after) = course
    for step, weights in enumerate(after):
        decay = min(0.9, (1 + step) / (10 + step))
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in weights}
    description = checkpoints.read(path)["description"].item()
    by_numpy = checkpoints.save(str(tmp_path), 3, {**average, "description": description})
    found = scores(path, dataset_dir, tmp_path / "found")
    raw = scores(path, dataset_dir, tmp_path / "raw", use_moving_average=False)
    wanted = scores(by_numpy, dataset_dir, tmp_path / "wanted")
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert found.shape != raw.shape or np.abs(found - raw).max() > 1e-3
