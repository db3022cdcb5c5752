"""Batches as the network is trained on: records, augmentation, matching."""

from collections.abc import Callable

import tensorflow as tf

from datasets import input_pipeline
from datasets.dataset_factory import Dataset
from datasets.records.graph_source import GraphRecordSource
from datasets.records.source import RecordSource
from nets import matching
from training.start import Start
from training.state import TrainState


def make_pipeline(
    start: Start, state: TrainState, dataset: Dataset, source: RecordSource | GraphRecordSource
) -> Callable[..., tf.data.Dataset]:
    """(WorkerSlice, first step) -> a worker's batches, without end."""
    settings, detector = start.settings, state.detector
    preprocessing = detector.preprocessing

    def preprocess(encoded, boxes, labels, *, seed):
        if settings.augment:
            return preprocessing.for_train(encoded, boxes, labels, seed=seed)
        return preprocessing.without_augmentation(encoded, boxes, labels)

    def match(boxes, labels):
        return matching.match(
            boxes,
            labels,
            detector.anchors,
            threshold=settings.match_threshold,
            prior_scaling=detector.parameters.prior_scaling,
        )

    def pipeline(share: input_pipeline.WorkerSlice, first_step: int | tf.Tensor) -> tf.data.Dataset:
        batches = input_pipeline.training_batches(
            source,
            preprocess=preprocess,
            match=match,
            batch_size=settings.batch_size * settings.accumulate_steps,
            share=share,
            seed=settings.seed,
            first_step=first_step,
            last_step=settings.last_step,
            pools=dataset.pools,
            shuffle=settings.shuffle,
            use_difficult=settings.use_difficult,
            labels_offset=settings.labels_offset,
            num_classes=len(dataset.labels),
            num_readers=settings.num_readers,
            num_threads=settings.num_preprocessing_threads,
        )
        # Endless, though the end is never reached: under several workers a data set that may end
        # costs a collective a step, to learn whether it has.
        return batches.repeat()

    return pipeline
