"""Converts a folder in Pascal VOC layout to a data set of TFRecords."""

from collections.abc import Callable, Iterator, Sequence

from datasets.conversion import Conversion, convert_source
from datasets.conversion_stats import ConversionStats
from datasets.layouts.voc_source import find_source

__all__ = ["Conversion", "convert"]


def convert(
    conversion: Conversion,
    *,
    report: Callable[[str], None] = print,
    progress: Callable[[Sequence[str]], Iterator[str]] = iter,
) -> ConversionStats:
    """Converts, or with `dry_run` only counts, a VOC folder; as `convert_source`.

    Raises:
      InputError: a rule is broken by the folder, a file in it, or the output folder.
    """
    source = find_source(
        conversion.dataset_dir,
        split=conversion.split,
        labels_file=conversion.labels_file,
        with_pictures=not conversion.dry_run,
        report=report,
    )
    return convert_source(source, conversion, report=report, progress=progress)
