"""AP by object size: small, medium and large, as shares of the image.

COCO's limits are 32 x 32 and 96 x 96 pixels of images that are mostly 640 x 480. A detector that
warps every image to one size sees shares of the image, not pixels, so the limits are taken as
such: 32 x 32 / (640 x 480) = 1/300 and 96 x 96 / (640 x 480) = 3 %.
"""

from collections.abc import Sequence

import numpy as np

from metrics.voc import Detections, GroundTruth, Result, evaluate

LIMITS = {
    "small": (0.0, 32 * 32 / (640 * 480)),
    "medium": (32 * 32 / (640 * 480), 96 * 96 / (640 * 480)),
    "large": (96 * 96 / (640 * 480), np.inf),
}


def relative_areas(boxes: np.ndarray, images: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Share of its image that each box covers, f64[K].

    Args:
      boxes: f64[K, 4], pixels.
      images: i64[K], numbers of the images.
      sizes: [P, 2], height and width of every image, pixels.
    """
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0)
    return np.prod(sides, axis=1) / np.prod(np.asarray(sizes, np.float64)[images], axis=1)


def evaluate_by_size(
    detections: Detections,
    truth: GroundTruth,
    result: Result,
    *,
    labels: Sequence[str],
    sizes: np.ndarray,
) -> dict[str, Result]:
    """The score for objects of each size alone.

    As COCO does it: objects of other sizes count neither way, and so do detections that match no
    object and are of another size themselves.

    Args:
      detections: of D rows, as they were scored.
      truth: of M rows, as they were scored.
      result: of `voc.evaluate` for them.
      labels: class k has the name labels[k - 1].
      sizes: [P, 2], height and width of every image, pixels.
    """
    areas = relative_areas(detections.boxes, detections.images, sizes)
    object_areas = relative_areas(truth.boxes, truth.images, sizes)
    results = {}
    for name, (low, high) in LIMITS.items():
        inside = (areas >= low) & (areas < high)
        kept = inside | (result.matches >= 0)
        outside = (object_areas < low) | (object_areas >= high)
        results[name] = evaluate(
            Detections(*(column[kept] for column in detections)),
            truth._replace(difficult=truth.difficult | outside),
            labels=labels,
            iou_threshold=result.iou_threshold,
        )
    return results
