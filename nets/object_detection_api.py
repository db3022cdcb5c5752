"""Conventions of the TensorFlow Object Detection API, whose model zoo has COCO detectors.

Source: its label map `mscoco_label_map.pbtxt` and `FasterRcnnBoxCoder`. Class ids are COCO's own,
1 to 90, of which ten were never used.
"""

import numpy as np

_NAMES = """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light,
fire hydrant, , stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, ,
wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, , dining table, , , toilet, , tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, , book,
clock, vase, scissors, teddy bear, hair drier, toothbrush"""
LABELS = tuple(name.strip() or f"unused {k}" for k, name in enumerate(_NAMES.split(","), 1))


def permute_box_code(name: str, value: np.ndarray) -> np.ndarray:
    """A box predictor between the API's order y, x, h, w and this project's x, y, w, h.

    Args:
      name: of the variable; others than a box predictor's are left as they are.
      value: weights or biases, [..., 4 k].
    """
    if "/BoxEncodingPredictor/" not in f"/{name}":
        return value
    codes = value.reshape(*value.shape[:-1], -1, 4)
    return codes[..., [1, 0, 3, 2]].reshape(value.shape)
