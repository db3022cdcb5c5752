"""The report of an evaluation: one HTML page that needs nothing but itself, and its PNG files.

The charts lie beside the page as files too, for papers and slides.
"""

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from evaluation import report_charts, report_pictures, report_tables, run_curves
from evaluation.report_inputs import Evaluation
from evaluation.report_pictures import SURE, ImageCounts
from metrics import errors_by_kind
from metrics.by_size import LIMITS, evaluate_by_size, relative_areas
from metrics.errors_by_kind import ERRORS, Diagnosis, Kind
from metrics.voc import Detections, GroundTruth, Outcome, Result
from model import train_dir
from runtime import files
from visualization import page

_PICTURE = re.compile(r"(worst_class|worst|best)_\d+\.png|training\.png")


def write(report_dir: str, evaluation: Evaluation) -> None:
    """Writes `index.html` and the PNG files it shows into `report_dir`.

    Images of an earlier report that this one does not show go.
    """
    tf.io.gfile.makedirs(report_dir)
    text, pngs = make(evaluation)
    for name, data in pngs.items():
        files.write(tf.io.gfile.join(report_dir, name), data)
    files.write(tf.io.gfile.join(report_dir, "index.html"), text.encode())
    for name in tf.io.gfile.listdir(report_dir):
        if _PICTURE.fullmatch(name) and name not in pngs:
            tf.io.gfile.remove(tf.io.gfile.join(report_dir, name))


def make(evaluation: Evaluation) -> tuple[str, dict[str, bytes]]:
    """The page, and the PNG files by name."""
    detections, truth = evaluation.detections, evaluation.truth
    result, labels = evaluation.result, evaluation.labels
    diagnosis = errors_by_kind.diagnose(detections, truth, result)
    costs = errors_by_kind.costs(
        detections, truth, diagnosis, labels=labels, iou_threshold=result.iou_threshold
    )
    best = errors_by_kind.count_best(detections, truth, diagnosis, num_classes=len(labels))
    matrix = errors_by_kind.confusion(
        detections,
        truth,
        num_classes=len(labels),
        score_threshold=SURE,
        iou_threshold=result.iou_threshold,
    )
    pngs = _charts(evaluation, diagnosis, costs, best, matrix) | _training_chart(evaluation)
    sections = [
        report_tables.tiles(evaluation),
        report_tables.undertrained(result),
        report_tables.summary(evaluation, diagnosis, costs, matrix),
        report_tables.class_table(evaluation, diagnosis, costs),
        "<h2>Precision, recall and scores</h2>",
        page.columns(
            page.figure(pngs, "precision_recall.png", "Beside each name: its AP (VOC12)."),
            page.figure(pngs, "f1.png", "Beside each name: its best F1, and at which threshold."),
            page.figure(
                pngs,
                "scores.png",
                "Detections by score, on a logarithmic axis.",
            ),
        ),
        _errors(pngs, costs),
        _confusion(pngs),
        _sizes(evaluation, pngs),
        _training(evaluation, pngs),
        _pictures(evaluation, diagnosis, pngs),
    ]
    return page.document(evaluation.title, sections), pngs


def _charts(
    evaluation: Evaluation,
    diagnosis: Diagnosis,
    costs: Mapping[str, np.ndarray],
    best: np.ndarray,
    matrix: np.ndarray,
) -> dict[str, bytes]:
    detections, truth = evaluation.detections, evaluation.truth
    result, labels = evaluation.result, evaluation.labels
    counted = result.outcomes != Outcome.IGNORED
    right = result.outcomes == Outcome.TRUE_POSITIVE
    sized = _sized(evaluation, truth.images)
    areas = relative_areas(truth.boxes[sized], truth.images[sized], evaluation.sizes)
    unfound = diagnosis.unfound[sized]
    found = ~unfound & ~truth.difficult[sized]
    return {
        "precision_recall.png": report_charts.precision_recall(result.classes),
        "f1.png": report_charts.f1_over_threshold(result),
        "scores.png": report_charts.score_histogram(
            detections.scores[right], detections.scores[counted & ~right]
        ),
        "sizes.png": report_charts.size_histogram(
            areas[found], areas[unfound], [LIMITS["small"][1], LIMITS["medium"][1]]
        ),
        "confusion.png": report_charts.confusion_matrix(matrix, labels),
        "errors.png": report_charts.kinds_by_class(_shares(best, result), labels),
        "costs.png": report_charts.cost_bars(report_tables.means(costs)),
    }


def _training_chart(evaluation: Evaluation) -> dict[str, bytes]:
    """The curves of the training whose checkpoint this is, if it is one of ours."""
    folder = train_dir.of_checkpoint(evaluation.checkpoint)
    png = run_curves.draw({folder: run_curves.read(folder)}) if folder else None
    return {"training.png": png} if png else {}


def _training(evaluation: Evaluation, pngs: Mapping[str, bytes]) -> str:
    if "training.png" not in pngs:
        return ""
    caption = f"The training up to now; this report is of step {evaluation.step}."
    return f"<h2>Training</h2>{page.figure(pngs, 'training.png', caption)}"


def _shares(best: np.ndarray, result: Result) -> dict[str, np.ndarray]:
    """Kinds as shares of each class's objects; what is left over has no detection at all."""
    objects = np.maximum(1, [row.num_objects for row in result.classes])
    return {kind.name.lower(): best[:, kind] / objects for kind in (Kind.RIGHT, *ERRORS)}


def _errors(pngs: Mapping[str, bytes], costs: Mapping[str, np.ndarray]) -> str:
    note = (
        "localisation: the IoU with an object of its class is too low. class: on an object of "
        "another class. both: near an object of another class. duplicate: the object has a better "
        "detection. background: no object there. missed: an object without a true positive, class "
        "or localisation error. A class's N best-scored detections, N the number of its objects, "
        "would all be true positives of a perfect detector."
    )
    return "".join(
        (
            "<h2>Errors by kind</h2>",
            page.columns(
                page.figure(pngs, "costs.png", "AP lost to each kind, mean over the classes."),
                page.figure(pngs, "errors.png", "Kinds of the N best detections of each class."),
            ),
            page.note(note),
        )
    )


def _confusion(pngs: Mapping[str, bytes]) -> str:
    caption = (
        f"Objects by true class (row) and the class of the best detection of score {SURE} or more "
        "on them (column); the last row counts detections on background."
    )
    return f"<h2>Confusion between classes</h2>{page.figure(pngs, 'confusion.png', caption)}"


def _sizes(evaluation: Evaluation, pngs: Mapping[str, bytes]) -> str:
    results = _by_size(evaluation)
    headings = ["class"]
    for name in results:
        headings += [f"{name}: AP VOC12", "objects"]
    rows = []
    for k, label in enumerate(evaluation.labels):
        classes = [result.classes[k] for result in results.values()]
        pairs = ((page.number(row.ap_voc12), row.num_objects) for row in classes)
        rows.append((label, *(cell for pair in pairs for cell in pair)))
    totals = [
        (page.number(one.mean_ap_voc12), sum(row.num_objects for row in one.classes))
        for one in results.values()
    ]
    rows.append(("mean, sum", *(cell for pair in totals for cell in pair)))
    note = (
        f"By share of the image's area: small below {LIMITS['small'][1]:.2%}, large from "
        f"{LIMITS['large'][0]:.0%} (COCO's limits on an image of 640 x 480; dashed lines)."
    )
    if unsized := int(np.sum(~_sized(evaluation, np.arange(len(evaluation.names))))):
        note += f" Images whose annotation says 0 x 0 are left out: {unsized}."
    return (
        f"<h2>Object size</h2>{page.table(headings, rows)}{page.note(note)}"
        f"{page.figure(pngs, 'sizes.png', 'Objects found at some score, by size.')}"
    )


def _by_size(evaluation: Evaluation) -> dict[str, Result]:
    """The score for each size, of the images that have one."""
    detections, truth = evaluation.detections, evaluation.truth
    result, labels = evaluation.result, evaluation.labels
    rows, objects = _sized(evaluation, detections.images), _sized(evaluation, truth.images)
    return evaluate_by_size(
        Detections(*(column[rows] for column in detections)),
        GroundTruth(*(column[objects] for column in truth)),
        dataclasses.replace(result, matches=result.matches[rows]),
        labels=labels,
        sizes=evaluation.sizes,
    )


def _sized(evaluation: Evaluation, images: np.ndarray) -> np.ndarray:
    """Which of these images have a size: some tools' annotations say 0 x 0."""
    return np.all(np.asarray(evaluation.sizes)[images] > 0, axis=1)


def _pictures(evaluation: Evaluation, diagnosis: Diagnosis, pngs: dict[str, bytes]) -> str:
    if evaluation.load is None:
        return page.note("The images were not available, so the best and the worst are not shown.")

    def count(number: int | None = None) -> ImageCounts:
        tables = evaluation.detections, evaluation.truth, diagnosis
        return report_pictures.count_by_image(
            *tables, num_images=len(evaluation.names), number=number
        )

    text, every, k, chosen = "", count(), report_tables.worst_class(evaluation.result), []
    if k is not None:
        of_class = count(k + 1)
        title = f"The worst images of {evaluation.labels[k]}, the worst class"
        chosen, _ = report_pictures.choose(of_class)
        text += _drawn(title, "worst_class", chosen, evaluation, diagnosis, of_class, pngs)
    worst, best = report_pictures.choose(every, shown=chosen)
    others = "The worst of the other images" if chosen else "The worst images"
    text += _drawn(others, "worst", worst, evaluation, diagnosis, every, pngs)
    text += _drawn("The best images", "best", best, evaluation, diagnosis, every, pngs)
    note = (
        f"Truth on the left, thin where difficult, with {report_pictures.UNFOUND} where no right "
        f"detection of score {SURE} or more is; those detections on the right, wrong ones with "
        f"their kind ({', '.join(report_pictures.SHORT.values())}). Under the worst class's "
        "images stand the counts of that class alone."
    )
    return text + page.note(note)


def _drawn(
    title: str,
    name: str,
    chosen: Sequence[int],
    evaluation: Evaluation,
    diagnosis: Diagnosis,
    counts: ImageCounts,
    pngs: dict[str, bytes],
) -> str:
    """A heading and its images, which are added to `pngs` as NAME_1.png and so on."""
    if evaluation.load is None:
        return ""
    drawn = report_pictures.draw(
        chosen,
        evaluation.load,
        evaluation.detections,
        evaluation.truth,
        diagnosis,
        counts,
        labels=evaluation.labels,
        names=evaluation.names,
    )
    text = f"<h2>{html.escape(title)}</h2>" + ("" if drawn else page.note("There are none."))
    pngs |= {f"{name}_{place}.png": shown.png for place, shown in enumerate(drawn, 1)}
    return text + page.thumbnails([(shown.png, shown.caption) for shown in drawn])
