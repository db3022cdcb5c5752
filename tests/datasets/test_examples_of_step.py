"""The order of the records: what a step reads can be told without running it."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from datasets import input_pipeline
from datasets.order import Pool
from datasets.records import features
from datasets.records.source import RecordSource


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Seven records; number k is named k.png and holds one object of label k + 1."""
    path = str(tmp_path_factory.mktemp("records") / "toy.tfrecord")
    encoded = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    with tf.io.TFRecordWriter(path) as writer:
        for k in range(7):
            writer.write(
                features.encode_example(
                    encoded=encoded, image_format="PNG", height=4, width=4, channels=3,
                    filename=f"{k}.png", boxes=np.array([[0, 0, 0.5, 1]], np.float32),
                    labels=[k + 1], names=["x"], difficult=[0], truncated=[0],
                )
            )  # fmt: skip
    return RecordSource((path,))


def labels_read(source, *, step: int, shuffle: bool, workers: int = 1) -> list[int]:
    """Labels of the images that the training's pipelines give for one step, all workers'."""
    found: list[int] = []
    for worker in range(workers):
        rows = 4 // workers
        batches = input_pipeline.training_batches(
            source,
            preprocess=lambda encoded, boxes, labels, *, seed: (tf.zeros([1]), boxes, labels),
            match=lambda boxes, labels: (labels, boxes),
            batch_size=rows,
            share=input_pipeline.WorkerSlice(4, worker * rows, rows),
            seed=5,
            first_step=step,
            last_step=step + 1,
            shuffle=shuffle,
        )
        found += [int(label) for _, (labels, _) in batches for label in tf.reshape(labels, [-1])]
    return found


@pytest.mark.parametrize("step", [0, 1, 5])
@pytest.mark.parametrize("workers", [1, 2])
def test_examples_of_a_step_are_those_that_it_reads(source, step, workers):
    examples = input_pipeline.examples_of_step(
        source, step, global_batch_size=4, seed=5, shuffle=True
    )
    expected = labels_read(source, step=step, shuffle=True, workers=workers)
    assert [int(example["labels"][0]) for _, example in examples] == expected
    assert [index + 1 for index, _ in examples] == expected


def test_examples_of_a_mixture_come_from_its_pools_in_turn(source):
    examples = input_pipeline.examples_of_step(
        source, 0, global_batch_size=4, seed=5, shuffle=False, pools=[Pool(5, 1), Pool(2, 1)]
    )
    assert [index for index, _ in examples] == [0, 5, 1, 6]


def test_unshuffled_steps_go_through_the_records_in_order(source):
    examples = input_pipeline.examples_of_step(
        source, 1, global_batch_size=4, seed=5, shuffle=False, labels_offset=1
    )
    assert [index for index, _ in examples] == [4, 5, 6, 0]
    assert [int(example["labels"][0]) for _, example in examples] == [4, 5, 6, 0]
    assert labels_read(source, step=1, shuffle=False) == [5, 6, 7, 1]
