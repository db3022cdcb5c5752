"""Batches as the network is trained on, and steps that this process takes on them itself."""

from collections.abc import Callable

import tensorflow as tf

from datasets import input_pipeline
from datasets.dataset_factory import Dataset
from datasets.portable_source import PortableSource
from datasets.record_source import RecordSource
from deployment import data_service, hardware
from deployment.run_start import Start
from deployment.train_state import TrainState
from deployment.train_step import Batch
from nets import matching


class LocalSteps:
    """Steps of this process, in step with other workers if there are any.

    Attributes:
      settled: True; between two steps nothing changes the weights.
    """

    settled = True

    def __init__(
        self, start: Start, state: TrainState, dataset: Dataset, source: RecordSource, strategy
    ):
        """Opens this worker's batches, from the step to go on with."""
        self._state, self._explained = state, source.explained
        settings, size = start.settings, start.settings.global_batch_size
        pipeline = make_pipeline(start, state, dataset, source)
        if settings.data_service:
            pipeline = make_pipeline(start, state, dataset, PortableSource(dataset.shards))
            self._explained = data_service.leave_when_lost

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            rows = size // context.num_input_pipelines
            share = input_pipeline.Share(size, context.input_pipeline_id * rows, rows)
            if not settings.data_service:
                return pipeline(share, start.step)
            return data_service.batches(
                pipeline,
                share,
                start.step,
                services=settings.data_service,
                clones=settings.num_clones,
            )

        self._batches = iter(strategy.distribute_datasets_from_function(of_worker))

    def take(self, *, stop: Callable[[], bool], settle: bool) -> tuple[Batch, dict[str, tf.Tensor]]:
        """Takes a step; `parameter_server.RemoteSteps` has the same methods.

        Args:
          stop: whether this worker was asked to stop.
          settle: of no meaning here.

        Returns:
          The batch, and what `TrainStep` returns.

        Raises:
          InputError: names a record that cannot be read, or the step does not fit into memory.
        """
        del settle
        with self._explained():
            batch = next(self._batches)
        with hardware.refusing_what_does_not_fit():  # whose other errors are no record's
            return batch, self._state.step(batch, stop=stop())

    def finish(self) -> None:
        """Ends nothing: every worker knows the last step."""


def make_pipeline(
    start: Start, state: TrainState, dataset: Dataset, source: RecordSource | PortableSource
) -> Callable[..., tf.data.Dataset]:
    """(Share, first step) -> a worker's batches, without end."""
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

    def pipeline(share: input_pipeline.Share, first_step: int | tf.Tensor) -> tf.data.Dataset:
        batches = input_pipeline.training_batches(
            source,
            preprocess=preprocess,
            match=match,
            batch_size=settings.batch_size * settings.accumulate_steps,
            share=share,
            seed=settings.seed or 0,
            first_step=first_step,
            last_step=settings.last_step,
            pools=dataset.pools,
            shuffle=settings.shuffle,
            use_difficult=settings.use_difficult,
            labels_offset=settings.labels_offset,
            num_readers=settings.num_readers,
            num_threads=settings.num_preprocessing_threads,
        )
        # Endless, though the end is never reached: under several workers a data set that may end
        # costs a collective a step, to learn whether it has.
        return batches.map(Batch).repeat()

    return pipeline
