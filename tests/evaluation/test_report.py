"""The page: complete, self-contained, and safe with any name."""

import base64
import dataclasses
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from evaluation import report, report_charts
from evaluation.report_inputs import Evaluation
from evaluation.report_pictures import _compare, choose, count_by_image, draw
from metrics import coco
from metrics.errors_by_kind import confusion, diagnose
from metrics.voc import ClassResult, Detections, GroundTruth, evaluate
from visualization.charts import plain

EVIL = "<script>alert(1)</script>"
LABELS = ("cat", EVIL, "$x_{1}$ & co")
CHARTS = {
    *("precision_recall.png", "scores.png", "sizes.png", "confusion.png", "errors.png"),
    *("costs.png", "f1.png"),
}


class Reader(html.parser.HTMLParser):
    """Tags, texts and image sources of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.texts, self.sources = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.texts.append(data)


def jittered(num_images: int = 12) -> Evaluation:
    """Objects at random, and detections of them: shifted, mistaken, doubled, forgotten."""
    rng = np.random.default_rng(4)
    count = 4 * num_images
    images = np.repeat(np.arange(num_images), 4)
    classes = rng.integers(1, 4, count)
    corner, side = rng.uniform(0, 150, (count, 2)), rng.uniform(8, 90, (count, 1))
    boxes = np.concatenate([corner, np.minimum(corner + side, 199)], axis=1)
    truth = GroundTruth(images, classes, boxes, rng.uniform(size=count) < 0.1)
    rows = np.concatenate(
        [rng.permutation(count)[: int(0.85 * count)], rng.permutation(count)[:20]]
    )
    shift = rng.normal(0, 3, (len(rows), 4)) * rng.choice([1, 5], (len(rows), 1))
    said = np.where(
        rng.uniform(size=len(rows)) < 0.15, rng.integers(1, 4, len(rows)), classes[rows]
    )
    scores = rng.beta(4, 2, len(rows)).astype(np.float32)
    found = Detections(images[rows], said, scores, np.clip(boxes[rows] + shift, 0, 199))
    pixels = [rng.integers(0, 256, (200, 200, 3), np.uint8) for _ in range(num_images)]
    names = [f"{k:03d}.jpg" for k in range(num_images - 1)] + [f"{EVIL}.jpg"]
    return Evaluation(
        detections=found,
        truth=truth,
        result=evaluate(found, truth, labels=LABELS),
        scores=coco.score(found, truth, num_images=num_images, labels=LABELS),
        labels=LABELS,
        names=names,
        sizes=np.full((num_images, 2), 200),
        load=pixels.__getitem__,
        title=f"run of {EVIL}",
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return jittered()


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("report") / "new"
    report.write(str(folder), evaluation)
    return folder


@pytest.fixture(scope="module")
def page(folder) -> Reader:
    reader = Reader()
    reader.feed((folder / "index.html").read_text())
    return reader


def test_page_needs_no_other_file(page, folder):
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    inlined = [base64.b64decode(source.split(",")[1]) for source in page.sources]
    files = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert sorted(inlined) == sorted(files.values())
    assert files.keys() >= CHARTS


def test_every_png_is_a_picture(folder):
    for path in folder.glob("*.png"):
        assert cv2.imread(str(path)).std() > 5


def test_names_stay_text(page, folder):
    assert "script" not in page.tags
    assert EVIL in page.texts
    assert f"run of {EVIL}" in page.texts
    assert EVIL not in (folder / "index.html").read_text()


def test_page_shows_every_part(page):
    text = " ".join(page.texts)
    for heading in (
        *("Classes", "Precision, recall and scores", "Errors by kind", "Confusion between classes"),
        *("Object size", "F1 of all classes", "The worst images of", "The worst of the other"),
        "The best images",
    ):
        assert heading in text


def test_page_names_the_worst_class_and_its_main_error(page, evaluation):
    worst = min(evaluation.result.classes, key=lambda row: row.ap_voc12)
    text = "".join(page.texts)
    said = re.search(r"Worst class: (.*), AP (\d\.\d+)\. (\w+) errors lose it the most AP", text)
    assert said.group(1) == worst.label
    assert float(said.group(2)) == pytest.approx(worst.ap_voc12, abs=5e-4)
    first_row = text[text.index("AP lost") :]
    assert first_row.index(worst.label) == min(first_row.index(label) for label in LABELS)


def test_page_says_what_the_worst_class_was_predicted_as(page, evaluation):
    worst = min(evaluation.result.classes, key=lambda row: row.ap_voc12)
    number = LABELS.index(worst.label) + 1
    said = re.search(
        r"Of its (\d+) objects, at a score of 0.5 or more: (.*?); (\d+) detections",
        "".join(page.texts),
    )
    fates = re.findall(r"(\d+) (found|missed|predicted as)", said.group(2))
    assert int(said.group(1)) == worst.num_objects == sum(int(count) for count, _ in fates)
    matrix = confusion(
        evaluation.detections,
        evaluation.truth,
        num_classes=len(LABELS),
        score_threshold=0.5,
        iou_threshold=0.5,
    )
    assert int(fates[0][0]) == matrix[number, number]
    assert int(said.group(3)) == matrix[0, number]


def test_pictures_of_a_class_are_chosen_by_its_own_errors(evaluation):
    tables = evaluation.detections, evaluation.truth
    diagnosis = diagnose(*tables, evaluation.result)
    every = count_by_image(*tables, diagnosis, num_images=12)
    parts = [count_by_image(*tables, diagnosis, num_images=12, number=k) for k in (1, 2, 3)]
    for whole, *shares in zip(every, *parts, strict=True):
        np.testing.assert_array_equal(whole, sum(shares))
    assert choose(parts[0])[0] != choose(every)[0]


def test_wrong_and_missing_boxes_say_so():
    def table(kind, *columns):
        return kind(*(np.array(column) for column in columns))

    here, beside = [10.0, 10, 60, 60], [120.0, 120, 190, 190]
    truth = table(GroundTruth, [0, 0, 0], [1, 2, 3], [here, beside, beside], [False, False, True])
    found = table(
        Detections, [0, 0, 0], [1, 1, 3], [0.9, 0.8, 0.7], [here, beside, [150.0, 1, 180, 30]]
    )
    diagnosis = diagnose(found, truth, evaluate(found, truth, labels=LABELS))
    pair = _compare(0, np.zeros((200, 200, 3), np.uint8), found, truth, diagnosis, LABELS)
    assert pair.truth.notes == ["", "!", ""]  # the third is difficult
    assert pair.found.notes == ["", "class", "bg"]


def test_worst_pictures_have_most_errors_and_best_have_none(evaluation):
    diagnosis = diagnose(evaluation.detections, evaluation.truth, evaluation.result)
    counts = count_by_image(evaluation.detections, evaluation.truth, diagnosis, num_images=12)
    worst, best = choose(counts)
    assert counts.errors[worst[0]] == counts.errors.max()
    assert (np.diff(counts.errors[worst]) <= 0).all()
    assert best
    assert not set(best) & set(worst)
    assert (counts.right[best] > counts.errors[best]).all()
    shares = counts.errors[best] / (counts.errors[best] + counts.right[best])
    assert (np.diff(shares) >= 0).all()
    others, _ = choose(counts, shown=worst)
    assert not set(others) & set(worst)
    objects = np.bincount(evaluation.truth.images[~evaluation.truth.difficult], minlength=12)
    np.testing.assert_array_equal(counts.right + counts.unfound, objects)


def test_pictures_are_drawn_side_by_side(evaluation):
    diagnosis = diagnose(evaluation.detections, evaluation.truth, evaluation.result)
    counts = count_by_image(evaluation.detections, evaluation.truth, diagnosis, num_images=12)
    (shown,) = draw(
        [3],
        evaluation.load,
        evaluation.detections,
        evaluation.truth,
        diagnosis,
        counts,
        labels=LABELS,
        names=evaluation.names,
    )
    pixels = cv2.imdecode(np.frombuffer(shown.png, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[1] > 2 * 400
    assert shown.caption.startswith("003.jpg: ")


def test_report_without_pictures_says_so_and_keeps_none_of_an_earlier_one(
    evaluation, folder, tmp_path
):
    again = shutil.copytree(folder, tmp_path / "again")
    assert (again / "worst_class_1.png").exists()
    (again / "best_of_mine.png").write_text("a user's")
    report.write(str(again), dataclasses.replace(evaluation, load=None))
    assert "The images were not available" in (again / "index.html").read_text()
    assert {path.name for path in again.glob("*.png")} == {*CHARTS, "best_of_mine.png"}


def test_training_that_left_its_log_is_drawn(evaluation, tmp_path):
    run = dataclasses.replace(evaluation, load=None, checkpoint=str(tmp_path / "best" / "ckpt-2"))
    assert "training.png" not in report.make(run)[1]
    lines = ({"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0})
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(x)}\n" for x in lines))
    text, pngs = report.make(run)
    assert "<h2>Training</h2>" in text
    assert cv2.imdecode(np.frombuffer(pngs["training.png"], np.uint8), 1).std() > 5


def test_undertrained_model_is_called_that(evaluation):
    """One right detection in a hundred wrong ones with better scores; the usual model is not."""
    wrong = evaluation.detections.scores < evaluation.detections.scores.max()
    found = Detections(*(column[wrong] for column in evaluation.detections))
    found = found._replace(boxes=found.boxes + 500)
    result = evaluate(found, evaluation.truth, labels=LABELS)
    poor = dataclasses.replace(evaluation, detections=found, result=result, load=None)
    assert "This model is undertrained: its mean AP, 0.000, is below 0.1" in report.make(poor)[0]
    good = dataclasses.replace(evaluation, load=None)
    assert "undertrained" not in report.make(good)[0]


def test_many_classes_are_drawn_with_and_without_names():
    """Up to eight have colours and names; more are grey."""
    recall, precision = np.array([0.5, 1.0]), np.array([1.0, 0.5])
    row = ClassResult("cat", 2, 0, 2, 0.5, 0.5, np.array([0.9, 0.3]), recall, precision)
    charts = {count: report_charts.precision_recall([row] * count) for count in (1, 8, 9)}
    assert len(set(charts.values())) == 3
    at = report_charts.envelope_at(recall, precision)
    assert [at[k] for k in (0, 50, 51, 100)] == [1.0, 1.0, 0.5, 0.5]


def test_report_of_nothing_is_a_page(evaluation):
    nothing = Detections(*(column[:0] for column in evaluation.detections))
    empty = GroundTruth(*(column[:0] for column in evaluation.truth))
    for truth in (evaluation.truth, empty):
        result = evaluate(nothing, truth, labels=LABELS)
        text, pngs = report.make(
            dataclasses.replace(evaluation, detections=nothing, truth=truth, result=result)
        )
        assert text.endswith("</html>\n")
        assert pngs.keys() >= CHARTS
        assert "nan" not in re.sub(r'src="[^"]*"', "", text)


def test_perfect_score_names_no_error(evaluation):
    truth = evaluation.truth
    ones = np.ones(len(truth.classes))
    found = Detections(truth.images, truth.classes, ones, truth.boxes)
    result = evaluate(found, truth, labels=LABELS)
    text, _ = report.make(
        dataclasses.replace(evaluation, detections=found, result=result, load=None)
    )
    assert "No kind of error lowers its AP." in text
    assert "Over all classes" not in text


def test_pictures_without_a_size_are_left_out_of_the_sizes_and_counted(evaluation):
    sizes = evaluation.sizes.copy()
    sizes[2] = 0
    text, _ = report.make(dataclasses.replace(evaluation, sizes=sizes, load=None))
    assert "Images whose annotation says 0 x 0 are left out: 1." in text
    counted = ~evaluation.truth.difficult & (evaluation.truth.images != 2)
    cells = re.search("<td>mean, sum</td>(.*?)</tr>", text).group(1)
    objects = re.findall(r"<td>(\d+)</td>", cells)
    assert len(objects) == 3
    assert sum(map(int, objects)) == counted.sum()
    whole, _ = report.make(dataclasses.replace(evaluation, load=None))
    assert "left out" not in whole


@pytest.mark.parametrize(
    ("name", "shown"),
    [("cat", "cat"), ("$x$", r"\$x\$"), ("a\nb", "a b"), ("x" * 40, "x" * 21 + "…")],
)
def test_names_in_charts_are_plain(name, shown):
    assert plain(name) == shown


def test_page_opens_in_a_browser(folder, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        pytest.skip("no chromium here to open the page in")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'user'}"]
    done = subprocess.run(
        [browser, *flags, "--dump-dom", (folder / "index.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = Reader()
    seen.feed(done.stdout)
    assert seen.tags.count("img") == len(list(folder.glob("*.png")))
    assert "script" not in seen.tags
