"""What happens when a loss or a gradient is not finite.

The step leaves such an update out by itself. Here the user is told which images and boxes were in
its batch (of several in a row, in the first one's), a run that does nothing else any more is ended,
and weights that are not finite are kept out of checkpoints: these overwrite each other, and the
last good one would soon be gone.
"""

import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from datasets import input_pipeline
from datasets.dataset_factory import Dataset
from datasets.records.source import RecordSource
from runtime.errors import DivergedError
from training.settings import ResolvedSettings

MAX_NON_FINITE = 5


class NumericsCheck:
    """Watches the results of one run's steps."""

    def __init__(self, settings: ResolvedSettings, source: RecordSource | None, dataset: Dataset):
        """Without a source, where other processes read, no batch is described."""
        self._settings, self._source, self._dataset = settings, source, dataset
        self._in_a_row = 0

    def after_step(self, step: int, result: Mapping[str, tf.Tensor]) -> str:
        """What the user must know about this step; "" where its update was made.

        Args:
          step: updates tried so far, this one counted.
          result: of `TrainStep`.

        Raises:
          DivergedError: so many steps in a row had no update that the run leads nowhere.
        """
        if not self._settings.check_numerics or result["finite"]:
            self._in_a_row = 0
            return ""
        self._in_a_row += 1
        if self._in_a_row == MAX_NON_FINITE:
            raise DivergedError(
                f"The loss or its gradient was not finite in {MAX_NON_FINITE} steps up to {step}: "
                "lower --learning_rate, or pass --clip_gradient_norm=10 and --slow_start_step=500. "
                "The last checkpoint is untouched."
            )
        batch = self._describe_batch(step - 1) if self._in_a_row == 1 else ""
        loss, norm = (float(result[name]) for name in ("loss", "gradient_norm"))
        return (
            f"Step {step}: loss {loss:.4g} and gradient norm {norm:.4g} are not both finite; "
            f"update left out.{batch}"
        )

    def _describe_batch(self, number: int) -> str:
        """A line an image: file name, where its record is, names and boxes of its objects."""
        if self._source is None:
            return ""
        examples = input_pipeline.examples_of_step(
            self._source,
            number,
            global_batch_size=self._settings.global_batch_size,
            seed=self._settings.seed,
            shuffle=self._settings.shuffle,
            pools=self._dataset.pools,
            labels_offset=self._settings.labels_offset,
        )
        lines = [
            self._describe(*self._source.locate(index), example) for index, example in examples
        ]
        return "\n".join([" Its batch:", *lines])

    def _describe(self, shard: str, offset: int, example: Mapping[str, tf.Tensor]) -> str:
        objects = ", ".join(
            f"{self._dataset.labels[label - 1]} [{' '.join(f'{side:.4g}' for side in box)}]"
            for label, box in zip(example["labels"].numpy(), example["boxes"].numpy(), strict=True)
        )
        name = example["filename"].numpy().decode("utf-8", "replace") or "image without a name"
        place = f"{os.path.basename(shard)} at byte {offset}"
        return f"  {name} ({place}): {objects or 'no object'}"


def require_finite(tensors: Mapping[str, np.ndarray], step: int) -> None:
    """Keeps what is not finite out of a checkpoint.

    Raises:
      DivergedError: names a tensor with such a value.
    """
    bad = [name for name, value in tensors.items() if not _is_finite(value)]
    if bad:
        others = f" and {len(bad) - 1} others" if len(bad) > 1 else ""
        raise DivergedError(
            f"After step {step} {bad[0]}{others} hold values that are not finite, so no checkpoint "
            "was written and the last one is untouched: lower --learning_rate, or pass "
            "--clip_gradient_norm=10, and run again."
        )


def _is_finite(value: np.ndarray) -> bool:
    return not np.issubdtype(value.dtype, np.floating) or bool(np.isfinite(value).all())
