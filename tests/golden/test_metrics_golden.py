"""The scorers against what others published for the same detections."""

import json
import tarfile

import numpy as np
import pytest

from datasets.layouts import voc as voc_folder
from metrics import coco, devkit, voc

pytestmark = pytest.mark.golden


def read_truth(voc_dir, image_ids, labels):
    paths = [f"{voc_dir}/Annotations/{image_id}.xml" for image_id in image_ids]
    objects = (voc_folder.read_annotation(path).objects for path in paths)
    return voc.gather_truth(objects, labels=labels)


def test_yolov2_on_voc2007_test_has_its_published_aps(shared, tmp_path):
    folder = shared / "golden" / "voc07_yolov2"
    archives = folder / "detections.tar.xz", shared / "data" / "voc2007_annotations.tar.xz"
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(tmp_path, filter="data")
    labels = voc_folder.VOC_LABELS
    image_ids = voc_folder.read_split(str(tmp_path / "VOC2007"), "test")
    detections, warnings = devkit.read(tmp_path, image_ids=image_ids, labels=labels)
    truth = read_truth(tmp_path / "VOC2007", image_ids, labels)
    result = voc.evaluate(detections, truth, labels=labels)

    assert len(image_ids) == 4952
    assert sum(row.num_objects for row in result.classes) == 12032
    assert len(warnings) == 1
    assert "class person" in warnings[0]
    published = json.loads((folder / "expected.json").read_text())
    aps = {row.label: (row.ap_voc07, row.ap_voc12) for row in result.classes}
    assert aps.pop("person") == (0.0, 0.0)
    assert aps.keys() == published["ap_every_point"].keys()
    for label, (ap_voc07, ap_voc12) in aps.items():
        assert ap_voc07 == pytest.approx(published["published_ap_voc07_11_point"][label], abs=1e-9)
        assert ap_voc12 == pytest.approx(published["ap_every_point"][label], abs=1e-9)


def read_toy_detections(folder, image_ids):
    rows = [
        (image, *map(float, line.split()[1:]))
        for image, image_id in enumerate(image_ids)
        for line in (folder / f"{image_id}.txt").read_text().splitlines()
    ]
    table = np.array(rows)
    images = table[:, 0].astype(np.int64)
    return voc.Detections(images, np.ones_like(images), table[:, 1], table[:, [3, 2, 5, 4]])


@pytest.mark.parametrize(
    ("iou_threshold", "voc07", "voc12"), [(0.5, "88.64", "89.58"), (0.75, "49.24", "50.97")]
)
def test_toy_cat_has_its_published_aps(shared, iou_threshold, voc07, voc12):
    folder = shared / "golden" / "toy_cat"
    paths = sorted((folder / "gts_vocpascal_format").iterdir())
    objects = [voc_folder.read_annotation(str(path)).objects for path in paths]
    labels = sorted({thing.name for things in objects for thing in things})
    truth = voc.gather_truth(objects, labels=labels)
    detections = read_toy_detections(
        folder / "dets_classname_abs_xyx2y2", [path.stem for path in paths]
    )
    result = voc.evaluate(
        detections._replace(classes=detections.classes * (labels.index("cat") + 1)),
        truth,
        labels=labels,
        iou_threshold=iou_threshold,
    )
    cat = result.classes[labels.index("cat")]
    assert (f"{cat.ap_voc07:.2%}", f"{cat.ap_voc12:.2%}") == (f"{voc07}%", f"{voc12}%")


def test_coco_sample_has_its_published_aps(shared):
    folder = shared / "golden" / "coco_fakebbox100"
    truth = json.loads((folder / "gts" / "sampled_gts_bbox_area.json").read_text())
    results = json.loads((folder / "dets" / "sampled_bbox_results.json").read_text())
    numbers = coco.evaluate(results["annotations"], truth)
    assert numbers["AP"] == pytest.approx(0.503647, abs=1e-4)
    assert numbers["AP50"] == pytest.approx(0.696973, abs=1e-4)
    assert numbers["AP75"] == pytest.approx(0.571667, abs=1e-4)


def test_coco_sample_scores_the_same_as_tables_in_pixels(shared):
    """What `--coco` does: the same images as our tables of boxes, crowds as difficult objects."""
    folder = shared / "golden" / "coco_fakebbox100"
    sample = json.loads((folder / "gts" / "sampled_gts_bbox_area.json").read_text())
    results = json.loads((folder / "dets" / "sampled_bbox_results.json").read_text())["annotations"]
    images = {row["id"]: place for place, row in enumerate(sample["images"])}
    classes = {row["id"]: place for place, row in enumerate(sample["categories"], start=1)}

    def columns(rows):
        x, y, width, height = np.array([row["bbox"] for row in rows], float).T
        boxes = np.stack([y, x, y + height, x + width], axis=1)
        numbers = ([table[row[key]] for row in rows] for table, key in tables)
        return *map(np.array, numbers), boxes

    tables = ((images, "image_id"), (classes, "category_id"))
    *places, boxes = columns(results)
    scores = np.array([row["score"] for row in results])
    detections = voc.Detections(*places, scores, boxes)
    crowd = np.array([row["iscrowd"] for row in sample["annotations"]], bool)
    truth = voc.GroundTruth(*columns(sample["annotations"]), crowd)
    labels = [row["name"] for row in sample["categories"]]
    numbers = coco.evaluate(
        coco.results_of(detections), coco.truth_of(truth, num_images=len(images), labels=labels)
    )
    assert numbers["AP"] == pytest.approx(0.503647, abs=1e-4)
    assert numbers["AP50"] == pytest.approx(0.696973, abs=1e-4)
    assert numbers["AP75"] == pytest.approx(0.571667, abs=1e-4)
