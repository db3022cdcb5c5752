"""Steps that this process takes itself, on batches of its own or of data services."""

from collections.abc import Callable

import tensorflow as tf

from datasets import input_pipeline
from datasets.dataset_factory import Dataset
from datasets.input_pipeline import Batch
from datasets.records.graph_source import GraphRecordSource
from datasets.records.source import RecordSource
from deployment import data_service
from runtime import hardware
from training.input import make_pipeline
from training.start import Start
from training.state import TrainState


class LocalSteps:
    """Steps of this process, synchronous with other workers if there are any.

    Attributes:
      idle: True; between two steps nothing changes the weights.
    """

    idle = True

    def __init__(
        self, start: Start, state: TrainState, dataset: Dataset, source: RecordSource, strategy
    ):
        """Opens this worker's batches, from the step to resume from."""
        self._state, self._explained = state, source.explain_bad_records
        settings, size = start.settings, start.settings.global_batch_size
        pipeline = make_pipeline(start, state, dataset, source)
        if settings.data_service:
            pipeline = make_pipeline(start, state, dataset, GraphRecordSource(dataset.shards))
            self._explained = data_service.exit_when_lost

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            rows = size // context.num_input_pipelines
            share = input_pipeline.WorkerSlice(size, context.input_pipeline_id * rows, rows)
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

    def take(self, *, stop: Callable[[], bool], drain: bool) -> tuple[Batch, dict[str, tf.Tensor]]:
        """Takes a step; `remote_steps.RemoteSteps` has the same methods.

        Args:
          stop: whether this worker was asked to stop.
          drain: of no meaning here.

        Returns:
          The batch, and what `TrainStep` returns.

        Raises:
          InputError: names a record that cannot be read, or the step does not fit into memory.
        """
        del drain
        with self._explained():
            batch = next(self._batches)
        with hardware.explaining_out_of_memory():  # whose other errors are no record's
            return batch, self._state.step(batch, stop=stop())

    def finish(self) -> None:
        """Ends nothing: every worker knows the last step."""
