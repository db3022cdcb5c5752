"""Scores a checkpoint on a split, or another detector's devkit files on a VOC folder.

Every picture counts once, whatever the batch size. Boxes are scored in pixels of the original
picture.
"""

import collections
import json
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from datasets import records, voc
from datasets.dataset_factory import Dataset
from datasets.mixture import get_mixture
from datasets.record_source import RecordSource
from deployment import checkpoints, disk, evaluation_events
from deployment.description import Hints
from deployment.detector import Detector
from deployment.eval_settings import EvalSettings
from deployment.evaluation_run import Run, run_detector
from deployment.train_dir import write_text
from errors import InputError
from metrics import coco, devkit, pictures, report, tables
from metrics.voc import Detections, GroundTruth, Result, evaluate, gather_truth
from optimization import averages

SHEET_PICTURES = 12
SHEET_THRESHOLD = 0.5


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
    path = checkpoints.resolve(settings.checkpoint_path)
    if settings.moving_average_decay is not None:
        _require_averages(path, settings)
    dataset = get_dataset(settings)
    make_folders(settings)
    detector = Detector.from_checkpoint(
        path,
        precision=settings.precision,
        use_moving_average=settings.use_moving_average,
        hints=Hints(
            model_name=settings.model_name,
            num_classes=settings.num_classes,
            anchors=settings.anchors,
            labels=dataset.labels,
            labels_from=dataset.name,
        ),
    )
    _check_image_size(settings, detector)
    source = RecordSource(dataset.shards, skip_bad=settings.skip_bad)
    run = run_detector(detector, source, settings, on_batch=on_batch)
    result = score(run.detections, run.truth, dataset.labels, settings)
    values = _summarise(
        settings,
        result,
        run.detections,
        run.truth,
        step=checkpoints.step_of(path),
        num_images=len(run.names),
    )
    drawings = draw_pictures(run, source, dataset.labels, settings)
    _write_metrics(settings, values, drawings)
    _write_detections(settings, run, dataset.labels)
    if settings.contact_sheet:
        sheet = draw_contact_sheet(run, source, dataset.labels, settings)
        with disk.explained(settings.contact_sheet):
            pictures.write_png(settings.contact_sheet, sheet)
    if settings.report_dir:
        title = f"{dataset.name}, {dataset.split}: {path}"
        data = report.Evaluation(
            detections=run.detections,
            truth=counted(run.truth, settings),
            result=result,
            labels=dataset.labels,
            names=run.names,
            sizes=run.sizes,
            load=lambda index: _picture(_example(source, run.records[index], settings)),
            title=title,
        )
        with disk.explained(settings.report_dir):
            report.write(settings.report_dir, data)
    if source.bad:
        print(f"{len(source.bad)} bad records were left out of the score; they are named above.")
    return result


def make_folders(settings: EvalSettings) -> None:
    """Makes the folders for the results, before the network runs over every picture.

    Raises:
      InputError: one cannot be written.
    """
    sheet = settings.contact_sheet
    for name, folder in (
        ("eval_dir", settings.eval_dir),
        ("report_dir", settings.report_dir),
        ("contact_sheet", (os.path.dirname(sheet) or ".") if sheet else ""),
    ):
        if folder:
            disk.make_folder(folder, given=f"--{name}={getattr(settings, name)}")


def _require_averages(path: str, settings: EvalSettings) -> None:
    names = checkpoints.read_header(path).names
    if not any(name.endswith(averages.SUFFIX) for name in names):
        raise InputError(
            f"--moving_average_decay={settings.moving_average_decay} asks for moving averages and "
            f"{path} has none: drop the flag; averages are used wherever there are any."
        )


def evaluate_devkit_files(settings: EvalSettings) -> Result:
    """Scores comp4_det_test_CLASS.txt files; prints the table, writes metrics.json to an eval_dir.

    Raises:
      InputError: a file or the split is missing or malformed.
    """
    voc_dir = voc.find_voc_dir(settings.voc_dir, flag="--voc_dir")
    image_ids = voc.read_split(voc_dir, settings.dataset_split_name, flag="--dataset_split_name")
    make_folders(settings)
    annotations = [voc.read_annotation(voc.annotation_path(voc_dir, i)) for i in image_ids]
    names = {thing.name for annotation in annotations for thing in annotation.objects}
    labels = voc.VOC_LABELS if names <= set(voc.VOC_LABELS) else tuple(sorted(names))
    submission = devkit.read(settings.detections_dir, image_ids=image_ids, labels=labels)
    for warning in submission.warnings:
        print(f"Warning: {warning}")
    truth = gather_truth((annotation.objects for annotation in annotations), labels=labels)
    result = score(submission.detections, truth, labels, settings)
    values = _summarise(
        settings, result, submission.detections, truth, step=None, num_images=len(image_ids)
    )
    if settings.eval_dir:
        _write_metrics(settings, values, {})
    if settings.report_dir:
        data = report.Evaluation(
            detections=submission.detections,
            truth=counted(truth, settings),
            result=result,
            labels=labels,
            names=image_ids,
            sizes=np.array([(each.height, each.width) for each in annotations]),
            load=None,
            title=f"{settings.detections_dir}, {settings.dataset_split_name}",
        )
        with disk.explained(settings.report_dir):
            report.write(settings.report_dir, data)
    return result


def score(
    detections: Detections, truth: GroundTruth, labels: tuple[str, ...], settings: EvalSettings
) -> Result:
    """VOC's metrics; with remove_difficult off, difficult objects count as any other."""
    truth = counted(truth, settings)
    return evaluate(detections, truth, labels=labels, iou_threshold=settings.matching_threshold)


def counted(truth: GroundTruth, settings: EvalSettings) -> GroundTruth:
    """The objects as they are scored: with remove_difficult off, none is difficult."""
    if settings.remove_difficult:
        return truth
    return truth._replace(difficult=np.zeros_like(truth.difficult))


def draw_contact_sheet(
    run: Run, source: RecordSource, labels: tuple[str, ...], settings: EvalSettings
) -> np.ndarray:
    """Pictures spread evenly over the split, truth beside detections of score .5 or more."""
    rows = [
        _compare(run, source, index, labels, settings) for index in _spread(run, SHEET_PICTURES)
    ]
    return pictures.contact_sheet(rows, colours=pictures.class_colours(labels))


def draw_pictures(
    run: Run, source: RecordSource, labels: tuple[str, ...], settings: EvalSettings
) -> dict[str, np.ndarray]:
    """File name -> truth beside detections, for as many pictures as TensorBoard is to show.

    Pictures of one name, as data sets of a mixture may have them, have their number behind it.
    """
    colours = pictures.class_colours(labels)
    counts = collections.Counter(run.names)
    drawings = {}
    for index in _spread(run, settings.summary_pictures):
        name = run.names[index]
        title = name if counts[name] == 1 else f"{name}, {index}"
        row = _compare(run, source, index, labels, settings)
        drawings[title] = pictures.contact_sheet([row], colours=colours)
    return drawings


def _spread(run: Run, count: int) -> list[int]:
    """Numbers of up to `count` pictures from the first to the last."""
    last = len(run.names) - 1
    return sorted({round(place) for place in np.linspace(0, last, count)})


def _compare(
    run: Run,
    source: RecordSource,
    index: int,
    labels: tuple[str, ...],
    settings: EvalSettings,
) -> pictures.Comparison:
    example, found = _example(source, run.records[index], settings), run.found[index]
    sure = found.scores >= SHEET_THRESHOLD
    return pictures.Comparison(
        image=_picture(example),
        truth=pictures.Boxes(
            example["boxes"].numpy(),
            [labels[k - 1] for k in example["labels"].numpy()],
            difficult=example["difficult"].numpy(),
        ),
        found=pictures.Boxes(
            found.boxes[sure],
            [labels[k - 1] for k in found.classes[sure]],
            scores=found.scores[sure],
        ),
    )


def _example(source: RecordSource, index: int, settings: EvalSettings) -> dict[str, tf.Tensor]:
    record = source.read(tf.constant(index, tf.int64))
    return records.parse_example(record, labels_offset=settings.labels_offset)


def _picture(example: dict[str, tf.Tensor]) -> np.ndarray:
    return tf.io.decode_image(example["encoded"], channels=3, expand_animations=False).numpy()


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


def _check_image_size(settings: EvalSettings, detector: Detector) -> None:
    side = detector.image_size[0]
    if settings.eval_image_size not in (None, side):
        raise InputError(
            f"--eval_image_size={settings.eval_image_size}: {detector.description.model_name} "
            f"takes {side} pixels; drop the flag."
        )


def _summarise(
    settings: EvalSettings,
    result: Result,
    detections: Detections,
    truth: GroundTruth,
    *,
    step: int | None,
    num_images: int,
) -> dict:
    """Prints the tables and returns what metrics.json holds."""
    print(tables.format_table(result))
    extra = {}
    if settings.coco:
        labels = [row.label for row in result.classes]
        objects = coco.truth_of(counted(truth, settings), num_images=num_images, labels=labels)
        extra["COCO"] = coco.evaluate(coco.results_of(detections), objects)
        print(tables.format_coco(extra["COCO"]))
    return tables.metrics_json(result, step=step, num_images=num_images, **extra)


def _write_metrics(settings: EvalSettings, values: dict, drawings: dict[str, np.ndarray]) -> None:
    with disk.explained(settings.eval_dir):
        write_text(settings.eval_dir, "metrics.json", json.dumps(values, indent=2).split("\n"))
        evaluation_events.write(settings.eval_dir, values, drawings)


def _write_detections(settings: EvalSettings, run: Run, labels: tuple[str, ...]) -> None:
    if settings.write_detections:
        image_ids = [os.path.splitext(name)[0] for name in run.names]
        with disk.explained(settings.eval_dir):
            devkit.write(settings.eval_dir, run.detections, image_ids=image_ids, labels=labels)
