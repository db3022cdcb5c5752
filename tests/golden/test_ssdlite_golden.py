"""Real COCO weights score on real images what another runtime's detections score."""

import json

import cv2
import pytest

from datasets.layouts import voc
from model.detector import Detector
from tests.end_to_end import runs

VOC_NAMES = {
    **dict.fromkeys(["bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"]),
    **dict.fromkeys(["dog", "horse", "person", "sheep", "train"]),
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}


@pytest.mark.slow
def test_coco_weights_score_on_voc_images_as_in_tensorflow_js(shared, tmp_path):
    """TensorFlow.js: .6964 and .7070, with its own decoder of JPEG."""
    folder = shared / "data" / "voc2007_sample" / "VOCdevkit" / "VOC2007"
    weights = shared / "data" / "ssdlite_mobilenet_v2_coco" / "model.ckpt"
    detector = Detector.from_checkpoint(str(weights), precision="float32")
    lines: dict[str, list[str]] = {ours or coco: [] for coco, ours in VOC_NAMES.items()}
    names = voc.read_split(str(folder), "test")
    for name in names:
        image = cv2.imread(str(folder / "JPEGImages" / f"{name}.jpg"))[..., ::-1]
        height, width = image.shape[:2]
        (found,) = detector.detect(
            [image], select_threshold=0.01, nms_threshold=0.6, keep_top_k=100
        )
        for box, k, score in zip(found.boxes, found.classes, found.scores, strict=True):
            label = detector.labels[k - 1]
            if label in VOC_NAMES:
                ymin, xmin, ymax, xmax = box
                corners = xmin * width + 1, ymin * height + 1, xmax * width, ymax * height
                lines[VOC_NAMES[label] or label].append(
                    " ".join([name, f"{score:.6f}", *(f"{corner:.3f}" for corner in corners)])
                )
    detections = tmp_path / "detections"
    detections.mkdir()
    for label, rows in lines.items():
        (detections / f"comp4_det_test_{label}.txt").write_text("".join(f"{r}\n" for r in rows))
    runs.run(
        "eval_ssd_network.py",
        f"--detections_dir={detections}",
        f"--voc_dir={folder}",
        "--dataset_split_name=test",
        f"--eval_dir={tmp_path / 'eval'}",
    )
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert metrics["num_images"] == len(names) == 97
    assert metrics["mAP_VOC07"] == pytest.approx(0.6964, abs=0.01)
    assert metrics["mAP_VOC12"] == pytest.approx(0.7070, abs=0.01)
