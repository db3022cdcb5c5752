"""Scores another detector's devkit files on a VOC folder."""

import numpy as np

from datasets.layouts import voc
from evaluation.report_inputs import EvaluationInputs
from evaluation.results import make_folders, score_and_write
from evaluation.settings import EvalSettings
from metrics import devkit
from metrics.voc import Result, gather_truth


def evaluate_devkit_files(settings: EvalSettings) -> Result:
    """Scores comp4_det_test_CLASS.txt files; prints the table, writes metrics.json to an eval_dir.

    Raises:
      InputError: a file or the split is missing or malformed.
    """
    voc_dir = voc.find_voc_dir(settings.voc_dir, flag="--voc_dir")
    image_ids = voc.read_split(voc_dir, settings.dataset_split_name, flag="--dataset_split_name")
    make_folders(settings)
    there = voc.scan(voc_dir).annotations
    paths = [there.get(i) or voc.annotation_path(voc_dir, i) for i in image_ids]
    annotations = [voc.read_annotation(path) for path in paths]
    names = {thing.name for annotation in annotations for thing in annotation.objects}
    labels = voc.VOC_LABELS if names <= set(voc.VOC_LABELS) else tuple(sorted(names))
    submission = devkit.read(
        settings.detections_dir, image_ids=image_ids, labels=labels, expected=names
    )
    for warning in submission.warnings:
        print(f"Warning: {warning}")
    scored = EvaluationInputs(
        detections=submission.detections,
        truth=gather_truth((annotation.objects for annotation in annotations), labels=labels),
        labels=labels,
        names=image_ids,
        sizes=np.array([(each.height, each.width) for each in annotations]),
        load=None,
        title=f"{settings.detections_dir}, {settings.dataset_split_name}",
        step=None,
    )
    return score_and_write(scored, settings)
