"""Scores a checkpoint on a split, or another detector's devkit files on a VOC folder.

Every picture counts once, whatever the batch size. Boxes are scored in pixels of the original
picture.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets import input_pipeline, records, voc
from datasets.dataset_factory import Dataset
from datasets.mixture import get_mixture
from datasets.record_source import RecordSource
from deployment import checkpoints
from deployment.description import Description
from deployment.detector import Detector, Picture, unpad
from deployment.eval_settings import EvalSettings
from deployment.progress import Progress
from deployment.train_dir import write_text
from errors import InputError
from metrics import devkit, pictures, report, tables
from metrics.voc import Detections, GroundTruth, Result, concatenate, evaluate, gather_truth
from optimization import averages
from preprocessing import preprocessing_factory

SHEET_PICTURES = 12
SHEET_THRESHOLD = 0.5


class Run(NamedTuple):
    """What a detector found in a split, and what is there.

    Attributes:
      names: file name of each picture.
      found: detections picture by picture, relative.
      detections: the same in pixels, in one table.
      truth: the objects in pixels.
      sizes: [P, 2], height and width of each picture, pixels.
      records: number of each picture's record; those left out are not among them.
    """

    names: list[str]
    found: list[Picture]
    detections: Detections
    truth: GroundTruth
    sizes: np.ndarray
    records: list[int]


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
    detector = Detector.from_checkpoint(
        path,
        precision=settings.precision,
        use_moving_average=settings.use_moving_average,
        describe=functools.partial(_describe_bare, settings=settings),
    )
    dataset = _dataset(settings, detector)
    source = RecordSource(dataset.shards, skip_bad=settings.skip_bad)
    run = run_detector(detector, source, settings, on_batch=on_batch)
    result = score(run.detections, run.truth, dataset.labels, settings)
    _write(settings, result, run, dataset, checkpoints.step_of(path))
    if settings.contact_sheet:
        sheet = draw_contact_sheet(run, source, dataset.labels, settings)
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
        report.write(settings.report_dir, data)
    if source.bad:
        print(f"{len(source.bad)} bad records were left out of the score; they are named above.")
    return result


def _require_averages(path: str, settings: EvalSettings) -> None:
    if not any(name.endswith(averages.SUFFIX) for name, _ in tf.train.list_variables(path)):
        raise InputError(
            f"--moving_average_decay={settings.moving_average_decay} asks for moving averages and "
            f"{path} has none: drop the flag; averages are used wherever there are any."
        )


def evaluate_devkit_files(settings: EvalSettings) -> Result:
    """Scores comp4_det_test_CLASS.txt files; prints the table, writes metrics.json to an eval_dir.

    Raises:
      InputError: a file or the split is missing or malformed.
    """
    voc_dir = voc.find_voc_dir(settings.voc_dir)
    image_ids = voc.read_split(voc_dir, settings.dataset_split_name)
    annotations = [voc.read_annotation(voc.annotation_path(voc_dir, i)) for i in image_ids]
    names = {thing.name for annotation in annotations for thing in annotation.objects}
    labels = voc.VOC_LABELS if names <= set(voc.VOC_LABELS) else tuple(sorted(names))
    submission = devkit.read(settings.detections_dir, image_ids=image_ids, labels=labels)
    for warning in submission.warnings:
        print(f"Warning: {warning}")
    truth = gather_truth((annotation.objects for annotation in annotations), labels=labels)
    result = score(submission.detections, truth, labels, settings)
    print(tables.format_table(result))
    if settings.eval_dir:
        _write_metrics(settings, tables.metrics_json(result, step=None, num_images=len(image_ids)))
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


def run_detector(
    detector: Detector,
    source: RecordSource,
    settings: EvalSettings,
    *,
    on_batch: Callable[[], None] = lambda: None,
) -> Run:
    """Detects on every record once, in their order; `on_batch` is called after every batch."""
    preprocessing = preprocessing_factory.get_preprocessing(detector.description.model_name)
    batches = input_pipeline.evaluation_batches(
        source,
        decode=preprocessing.decode,
        preprocess=preprocessing.for_eval,
        batch_size=settings.batch_size,
        labels_offset=settings.labels_offset,
        num_threads=settings.num_preprocessing_threads,
    )
    thresholds = {
        name: getattr(settings, name)
        for name in ("select_threshold", "select_top_k", "nms_threshold", "keep_top_k")
    }
    names, found, detections, truth, all_sizes, numbers = [], [], [], [], [], []
    with Progress(len(source), "evaluating", unit="pictures") as progress:
        for batch in _explained(batches.take(settings.max_num_batches or -1), source):
            new = unpad(detector.detect_inputs(batch["image"], **thresholds))
            sizes = batch["size"].numpy()
            detections += _to_pixels(new, sizes, first=len(names))
            truth.append(_truth(batch, first=len(names)))
            names += [name.decode() for name in batch["filename"].numpy()]
            found += new
            all_sizes.append(sizes)
            numbers += batch["record"].numpy().tolist()
            progress.update(len(names))
            on_batch()
    joined = GroundTruth(*(np.concatenate(column) for column in zip(*truth, strict=True)))
    return Run(names, found, concatenate(detections), joined, np.concatenate(all_sizes), numbers)


def _explained(batches: tf.data.Dataset, source: RecordSource) -> Iterator[dict[str, tf.Tensor]]:
    """The batches; a failure is raised as what is wrong with which record."""
    try:
        yield from batches
    except tf.errors.OpError as error:
        if explained := source.explain():
            raise explained from error
        raise


def draw_contact_sheet(
    run: Run, source: RecordSource, labels: tuple[str, ...], settings: EvalSettings
) -> np.ndarray:
    """Pictures spread evenly over the split, truth beside detections of score .5 or more."""
    count = min(SHEET_PICTURES, len(run.names))
    rows = []
    for index in np.linspace(0, len(run.names) - 1, count).round().astype(int):
        example = _example(source, run.records[index], settings)
        found = run.found[index]
        sure = found.scores >= SHEET_THRESHOLD
        rows.append(
            pictures.Comparison(
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
        )
    return pictures.contact_sheet(rows, colours=pictures.class_colours(labels))


def _example(source: RecordSource, index: int, settings: EvalSettings) -> dict[str, tf.Tensor]:
    record = source.read(tf.constant(index, tf.int64))
    return records.parse_example(record, labels_offset=settings.labels_offset)


def _picture(example: dict[str, tf.Tensor]) -> np.ndarray:
    return tf.io.decode_image(example["encoded"], channels=3, expand_animations=False).numpy()


def get_dataset(settings: EvalSettings) -> Dataset:
    """The split to score on.

    Raises:
      InputError: it is not there, or nobody says its labels.
    """
    return get_mixture(
        settings.dataset_name,
        settings.dataset_split_name,
        settings.dataset_dir,
        labels_file=settings.labels_file,
        labels_offset=settings.labels_offset,
    )


def _describe_bare(tensors: dict[str, np.ndarray], *, settings: EvalSettings) -> Description:
    """What a checkpoint in slim's names is, by its shapes, the flags and the data's labels."""
    if not settings.anchors:
        print(
            "NOTE: the checkpoint does not say its anchors; it is taken as made for "
            "--anchors=coco, as SSD-Tensorflow's are. Pass --anchors=voc if it was made for these."
        )
    return Description.from_shapes(
        {name: value.shape for name, value in tensors.items()},
        model_name=settings.model_name or "ssd_300_vgg",
        labels=get_dataset(settings).labels,
        anchors=settings.anchors or "coco",
    )


def _dataset(settings: EvalSettings, detector: Detector) -> Dataset:
    dataset, known = get_dataset(settings), detector.description
    if dataset.labels != known.labels:
        raise InputError(
            f"The checkpoint knows the classes {', '.join(known.labels)} and {dataset.name} has "
            f"{', '.join(dataset.labels)}: evaluate on the data set it was trained for."
        )
    for name in ("model_name", "num_classes", "anchors"):
        if getattr(settings, name) not in (None, getattr(known, name)):
            raise InputError(
                f"--{name}={getattr(settings, name)} differs from the checkpoint's "
                f"{getattr(known, name)}: drop the flag."
            )
    return dataset


def _to_pixels(found: list[Picture], sizes: np.ndarray, *, first: int) -> list[Detections]:
    return [
        Detections(
            images=np.full(len(picture.scores), first + i),
            classes=picture.classes,
            scores=picture.scores,
            boxes=picture.boxes * np.tile(sizes[i], 2).astype(np.float64),
        )
        for i, picture in enumerate(found)
    ]


def _truth(batch: dict[str, tf.Tensor], *, first: int) -> GroundTruth:
    """The objects of a padded batch: label 0 marks padding."""
    labels = batch["labels"].numpy()
    row, column = np.nonzero(labels)
    sizes = np.tile(batch["size"].numpy(), 2).astype(np.float64)
    return GroundTruth(
        images=first + row,
        classes=labels[row, column],
        boxes=batch["boxes"].numpy()[row, column] * sizes[row],
        difficult=batch["difficult"].numpy()[row, column],
    )


def _write(settings: EvalSettings, result: Result, run: Run, dataset: Dataset, step: int) -> None:
    print(tables.format_table(result))
    values = tables.metrics_json(result, step=step, num_images=len(run.names))
    _write_metrics(settings, values)
    if settings.write_detections:
        image_ids = [os.path.splitext(name)[0] for name in run.names]
        devkit.write(settings.eval_dir, run.detections, image_ids=image_ids, labels=dataset.labels)


def _write_metrics(settings: EvalSettings, values: dict) -> None:
    tf.io.gfile.makedirs(settings.eval_dir)
    write_text(settings.eval_dir, "metrics.json", json.dumps(values, indent=2).split("\n"))
    with tf.summary.create_file_writer(settings.eval_dir).as_default(step=values["step"] or 0):
        for metric in ("AP_VOC07", "AP_VOC12"):
            tf.summary.scalar(f"{metric}/mAP", values[f"m{metric}"] or 0.0)
            for label, precision in values[metric].items():
                if precision is not None:
                    tf.summary.scalar(f"{metric}/{label}", precision)
