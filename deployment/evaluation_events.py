"""What TensorBoard gets from an evaluation: every number under a name, and a few pictures.

The pictures are the same ones at every checkpoint, so that its slider shows one picture change.
"""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


def write(eval_dir: str, values: Mapping, drawings: Mapping[str, np.ndarray]) -> None:
    """Adds an events file to `eval_dir`.

    Args:
      eval_dir: exists.
      values: of metrics.json. Numbers that are None, of a class without objects, are left out.
      drawings: file name of a picture -> uint8[H, W, 3] RGB, shown as `pictures/NAME`.
    """
    writer = tf.summary.create_file_writer(eval_dir)
    with writer.as_default(step=values["step"] or 0):
        for tag, value in scalars(values).items():
            tf.summary.scalar(tag, value)
        for name, drawing in drawings.items():
            tf.summary.image(f"pictures/{name}", drawing[None])
    writer.close()  # which says what could not be written


def scalars(values: Mapping) -> dict[str, float]:
    """`AP_VOC07/mAP`, `AP_VOC07/CLASS`, likewise for VOC12, and `COCO/AP` and so on, if there."""
    tags = {}
    for metric in ("AP_VOC07", "AP_VOC12"):
        tags[f"{metric}/mAP"] = values[f"m{metric}"]
        tags |= {f"{metric}/{label}": value for label, value in values[metric].items()}
    tags |= {f"COCO/{name}": value for name, value in values.get("COCO", {}).items()}
    return {tag: value for tag, value in tags.items() if value is not None}
