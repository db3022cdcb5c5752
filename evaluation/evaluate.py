"""Scores a checkpoint or an export on a split.

Every image counts once, whatever the batch size. Boxes are scored in pixels of the original
image.
"""

import gc
import os
from collections.abc import Callable

from datasets.dataset_factory import Dataset
from datasets.mixture import get_mixture
from datasets.records.features import ObjectRules
from datasets.records.source import RecordSource
from evaluation import run_defaults
from evaluation.pictures import RunPictures
from evaluation.predictions import Predictions, run_detector
from evaluation.report_inputs import EvaluationInputs
from evaluation.results import make_folders, score_and_write
from evaluation.settings import EvalSettings
from metrics import devkit
from metrics.voc import Result
from model import checkpoints
from model.description import CheckpointOverrides
from model.detector import Detector
from model.exported import ExportedDetector, is_export, open_export
from optimization import averages
from runtime import files
from runtime.errors import InputError
from runtime.settings import refuse_unless
from visualization import pictures


def evaluate_checkpoint(
    settings: EvalSettings, *, on_batch: Callable[[], None] = lambda: None
) -> Result:
    """Runs the detector over the split, prints the table and writes metrics.json.

    Args:
      settings: the flags.
      on_batch: called after every batch.

    Raises:
      InputError: checkpoint and data do not fit each other, or one cannot be read.
    """
    try:
        return _evaluate(settings, on_batch)
    finally:
        gc.collect()  # the network: a cycle of a few objects that Python would keep by the gigabyte


def get_dataset(settings: EvalSettings, *, split_flag: str = "--dataset_split_name") -> Dataset:
    """The split to score on; `split_flag` is what messages call its flag.

    Raises:
      InputError: it is not there, or nobody says its labels.
    """
    return get_mixture(
        settings.dataset_name,
        settings.dataset_split_name,
        settings.dataset_dir,
        labels_file=settings.labels_file,
        labels_offset=settings.labels_offset,
        split_flag=split_flag,
    )


def _evaluate(settings: EvalSettings, on_batch: Callable[[], None]) -> Result:
    path = _find(settings)
    settings = run_defaults.fill_in(settings, path)
    dataset = get_dataset(settings)
    print(f"Evaluating on {dataset.split} of {dataset.name}, {dataset.num_samples} images.")
    if settings.write_detections:
        devkit.check_names(labels=dataset.labels)
    make_folders(settings)
    detector = _load(path, settings, dataset)
    rules = ObjectRules(len(dataset.labels), settings.labels_offset)
    source = RecordSource(dataset.shards, skip_bad=settings.skip_bad, rules=rules)
    run = run_detector(detector, source, settings, on_batch=on_batch)
    shown = RunPictures(run, source, dataset.labels, labels_offset=settings.labels_offset)
    result = score_and_write(
        EvaluationInputs(
            detections=run.detections,
            truth=run.truth,
            labels=dataset.labels,
            names=run.names,
            sizes=run.sizes,
            load=shown.load,
            title=f"{dataset.name}, {dataset.split}: {path}",
            step=detector.step if is_export(path) else checkpoints.step_of(path),
            checkpoint=path,
        ),
        settings,
        drawings=shown.drawings(settings.summary_pictures),
    )
    if settings.contact_sheet:
        sheet = shown.contact_sheet()
        with files.explain_write_errors(settings.contact_sheet):
            pictures.write_png(settings.contact_sheet, sheet)
    if source.bad:
        print(f"{len(source.bad)} bad records were left out of the score; they are named above.")
    source.close()
    if settings.write_detections:  # last, since an image's name may forbid it
        _write_detections(settings.eval_dir, run, dataset.labels)
    return result


def _find(settings: EvalSettings) -> str:
    """The path of the checkpoint, or of the export, where some flags cannot act."""
    given = settings.checkpoint_path
    if is_export(given):
        idle = ("moving_average_decay", "precision", "wait_for_checkpoints")
        needs = f"a checkpoint, instead of the export --checkpoint_path={given}"
        refuse_unless(False, settings, *idle, needs=needs)
        return given
    path = checkpoints.resolve(given)
    if settings.moving_average_decay is not None:
        _require_averages(path, settings)
    return path


def _load(path: str, settings: EvalSettings, dataset: Dataset) -> Detector | ExportedDetector:
    average = settings.use_moving_average
    hints = CheckpointOverrides(
        model_name=settings.model_name,
        num_classes=settings.num_classes,
        anchors=settings.anchors,
        labels=dataset.labels,
        labels_from=dataset.name,
    )
    detector: Detector | ExportedDetector
    if is_export(path):
        detector = open_export(path, use_moving_average=average, hints=hints)
    else:
        detector = Detector.from_checkpoint(
            path, precision=settings.precision, use_moving_average=average, hints=hints
        )
    _check_image_size(settings, detector)
    return detector


def _require_averages(path: str, settings: EvalSettings) -> None:
    names = checkpoints.read_header(path).names
    if not any(name.endswith(averages.SUFFIX) for name in names):
        raise InputError(
            f"--moving_average_decay={settings.moving_average_decay} asks for moving averages and "
            f"{path} has none: remove the flag; averages are used wherever there are any."
        )


def _check_image_size(settings: EvalSettings, detector: Detector | ExportedDetector) -> None:
    side = detector.image_size[0]
    if settings.eval_image_size not in (None, side):
        raise InputError(
            f"--eval_image_size={settings.eval_image_size}: {detector.description.model_name} "
            f"takes {side} pixels; remove the flag."
        )


def _write_detections(eval_dir: str, run: Predictions, labels: tuple[str, ...]) -> None:
    image_ids = [os.path.splitext(name)[0] for name in run.names]
    with files.explain_write_errors(eval_dir):
        devkit.write(eval_dir, run.detections, image_ids=image_ids, labels=labels)
