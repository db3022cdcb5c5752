"""Which minimum score detection takes, and that classes have their own."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from detection.settings import DetectSettings
from model import checkpoints, score_thresholds
from model.description import Description
from model.detector import Detector
from nets import detections
from runtime.errors import InputError

LABELS = ("cat", "dog")
PLAIN = Description(model_name="ssd_32_tiny", labels=LABELS)
KNOWN = Description(
    model_name="ssd_32_tiny", labels=LABELS, thresholds=(0.25, 0.5), thresholds_from="val"
)


def test_description_keeps_thresholds_and_without_them_stays_as_it_was():
    assert Description.from_json(KNOWN.to_json()) == KNOWN
    assert "thresholds" not in json.loads(PLAIN.to_json())


@pytest.mark.parametrize(
    ("given", "description", "taken", "said"),
    [
        ("auto", KNOWN, (0.25, 0.5), "0.25 to 0.50 by class, which had the best F1 (val)"),
        ("auto", PLAIN, 0.3, "0.3, as no evaluation of this checkpoint is known"),
        (0.6, KNOWN, 0.6, "0.6 (--select_threshold)"),
        ("0.6", PLAIN, 0.6, "0.6 (--select_threshold)"),
    ],
)
def test_auto_is_what_the_checkpoint_knows(given, description, taken, said):
    assert score_thresholds.resolve(given, description) == taken
    assert said in score_thresholds.describe(given, description)


@pytest.mark.parametrize("given", ["1", "-0.1", "best", 1.5, "nan"])
def test_other_words_and_numbers_are_refused(given):
    with pytest.raises(InputError, match="must be auto, or a number in"):
        DetectSettings(checkpoint_path="a", input="b", output_dir="c", select_threshold=given)


def test_each_class_has_its_own_threshold():
    """Two anchors far apart; scores 0.4 of the first class and 0.45 of the second."""
    probabilities = np.array([[[0.55, 0.4, 0.05], [0.5, 0.05, 0.45]]], np.float32)
    anchors = tf.constant([[0.0, 0.0, 0.2, 0.2], [0.6, 0.6, 0.9, 0.9]])
    given = (tf.constant(np.log(probabilities)), tf.zeros([1, 2, 4]), anchors)

    def found(threshold):
        made = detections.detect(*given, select_threshold=threshold, keep_top_k=2)
        return made.classes.numpy()[0, : made.num_detections.numpy()[0]].tolist()

    assert found(0.3) == [2, 1]
    assert found((0.3, 0.5)) == [1]
    assert found((0.42, 0.42)) == [2]


def save(folder: pathlib.Path, description: Description) -> str:
    tensors = Detector(description, seed=1).variables_by_name
    described = {**tensors, "description": tf.constant(description.to_json())}
    return checkpoints.save(str(folder), 7, described)


def evaluated(folder: pathlib.Path, checkpoint: str, *, dog=0.7, labels=LABELS) -> None:
    folder.mkdir(parents=True)
    points = {labels[0]: None, labels[1]: {"threshold": dog}}
    values = {
        "checkpoint": checkpoint,
        "operating_point": {"threshold": 0.4},
        "operating_points": points,
    }
    (folder / "metrics.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("train_dir", "eval_dir", "seen"),
    [
        ("mine", "mine/eval", "../ckpt-7"),
        ("mine/train", "mine/eval", "../train/ckpt-7"),
        ("mine/train", "mine/train/evaluations", "../ckpt-7"),
    ],
)
def test_evaluation_beside_the_checkpoint_is_found(train_dir, eval_dir, seen, tmp_path):
    """Also after the folder moved: the evaluation names the checkpoint relative to itself."""
    path = save(tmp_path / "before" / train_dir, PLAIN)
    evaluated(tmp_path / "before" / eval_dir, seen)
    (tmp_path / "before").rename(tmp_path / "after")
    path = path.replace("before", "after")
    detector = Detector.from_checkpoint(path)
    assert detector.description.thresholds == (0.4, 0.7)
    assert detector.description.thresholds_from == str(
        tmp_path / "after" / eval_dir / "metrics.json"
    )
    zeros = [np.zeros((32, 32, 3), np.uint8)]
    (auto,), (same,) = detector.detect(zeros), detector.detect(zeros, select_threshold=(0.4, 0.7))
    np.testing.assert_array_equal(auto.scores, same.scores)


def test_other_evaluations_are_left_aside(tmp_path):
    path = save(tmp_path / "mine", PLAIN)
    evaluated(tmp_path / "mine" / "a", "../ckpt-8")
    evaluated(tmp_path / "mine" / "b", "../ckpt-7", labels=("dog", "cat"))
    for name, text in (("c", "{}"), ("d", "torn")):
        (tmp_path / "mine" / name).mkdir()
        (tmp_path / "mine" / name / "metrics.json").write_text(text)
    assert score_thresholds.with_evaluation(PLAIN, path) == PLAIN
    evaluated(tmp_path / "mine" / "e", "../ckpt-7")
    assert score_thresholds.with_evaluation(PLAIN, path).thresholds == (0.4, 0.7)
    assert score_thresholds.with_evaluation(KNOWN, path) == KNOWN
