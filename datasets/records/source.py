"""Records by number for tf.data, that names the bad ones and, when asked to, skips them.

A bad record is one whose CRC fails, that is no annotated image, has objects
that cannot be learnt, or whose image does not decode.
In training the next good record takes its place, so that batches stay a function of (seed, step);
in evaluation it is left out. Every record's header is looked at before its image is decoded for
the first time, so that no claim of an untrusted file takes memory. Only with `skip_bad` is each
image decoded here once, to know in time; without it a failure is explained afterwards.
"""

import collections
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from datasets.layouts.image_file import check_header_limits
from datasets.records.features import ObjectRules, read_contents
from datasets.records.reader import RecordReader
from runtime.errors import InputError, is_outage

_REMEMBERED = 4096  # records read last, among which a failure is looked for


class RecordSource:
    """Records by number as a tf.data operation that remembers what went wrong.

    Attributes:
      error: the first error that may not be skipped, for a message better than tf.data's.
      bad: the records left out, by number, with the reason.
    """

    def __init__(
        self,
        shards: tuple[str, ...],
        *,
        skip_bad: int = 0,
        rules: ObjectRules | None = None,
        report: Callable[[str], None] = print,
    ):
        """Opens the shards.

        Args:
          shards: paths, in the order of their records.
          skip_bad: bad records that may be left out.
          rules: what a record's objects have to keep to, or it is a bad one.
          report: prints a line to the user.
        """
        self._reader, self._rules = RecordReader(shards), rules
        self._skip_bad, self._report = skip_bad, report
        self._looked_at = np.zeros(len(self._reader), bool)
        self._recent: collections.deque[int] = collections.deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()
        self.error: InputError | None = None
        self.bad: dict[int, InputError] = {}

    def __len__(self) -> int:
        return len(self._reader)

    def close(self) -> None:
        """Closes the files and drops their indexes: reading is over.

        TensorFlow holds on to whatever a tf.data pipeline calls, until the process ends.
        """
        self._reader.close()
        self._reader, self._looked_at = RecordReader(()), np.zeros(0, bool)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """i64 scalar -> string scalar, the serialized example or, for a bad one, the next good."""
        return _as_operation(self._read_or_next, index)

    def read_or_empty(self, index: tf.Tensor) -> tf.Tensor:
        """i64 scalar -> string scalar, the serialized example; '' for a bad one."""
        return _as_operation(self._read_or_empty, index)

    def locate(self, index: int) -> tuple[str, int]:
        """The shard and the byte offset of a record, for messages."""
        return self._reader.locate(index)

    def explain(self) -> InputError | None:
        """Why reading or decoding failed; None when no record read lately is bad."""
        for index in dict.fromkeys(self._recent):
            if self.error is None and index not in self.bad:
                try:
                    self._look_at(index, self._reader.read(index), decode=True)
                except InputError as error:
                    self.error = error
        return self.error

    @contextlib.contextmanager
    def explain_bad_records(self) -> Iterator[None]:
        """Around what reads: an error of TensorFlow is raised as `explain` tells it, if it can."""
        try:
            yield
        except tf.errors.OpError as error:
            if explained := self.explain():
                raise explained from error
            raise

    def _read_or_next(self, index: np.ndarray) -> bytes:
        start = int(index)
        for number in itertools.chain(range(start, len(self)), range(start)):
            if data := self._read_or_empty(number):
                return data
        raise self._stop(InputError("No record of this data set can be read: convert it again."))

    def _read_or_empty(self, index: int | np.ndarray) -> bytes:
        number = int(index)
        if number in self.bad:
            return b""
        self._recent.append(number)
        try:
            data = self._reader.read(number)
            if not self._looked_at[number]:
                self._look_at(number, data, decode=self._skip_bad > 0)
                self._looked_at[number] = True
            return data
        except InputError as error:
            if is_outage(error):
                raise self._stop(error) from error.__cause__
            self._leave_out(number, error)
            return b""

    def _look_at(self, number: int, data: bytes, *, decode: bool) -> None:
        """Raises InputError when the record is no annotated image that can be decoded."""
        where = "{}, byte {}".format(*self.locate(number))
        try:
            contents = read_contents(data)
            if self._rules:
                self._rules.check(contents)
        except ValueError as error:
            raise InputError(f"{where}: this record is no annotated image: {error}.") from error
        try:
            check_header_limits(contents.encoded)
            if decode:
                tf.io.decode_image(contents.encoded, channels=3, expand_animations=False)
        except (ValueError, tf.errors.OpError) as error:
            what = "does not decode" if isinstance(error, tf.errors.OpError) else str(error)
            name = contents.filename or "without a name"
            raise InputError(f"{where}: the image {name} {what}.") from error

    def _leave_out(self, number: int, error: InputError) -> None:
        with self._lock:
            if number in self.bad:
                return
            count = len(self.bad) + 1
            if count > self._skip_bad:
                sentence = str(error).rstrip(".")
                told = f"{sentence} (bad record number {count}, --skip_bad={self._skip_bad})."
                raise self._stop(InputError(told)) from error
            self.bad[number] = error
        self._report(f"skipped, {count} of at most {self._skip_bad}: {error}")

    def _stop(self, error: InputError) -> InputError:
        self.error = self.error or error
        return error


def _as_operation(function: Callable, index: tf.Tensor) -> tf.Tensor:
    data = tf.numpy_function(function, [index], tf.string, stateful=False)
    data.set_shape([])
    return data
