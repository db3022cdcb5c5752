"""Draws what the network is shown in training: augmented images, truth beside matched anchors."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from inspection.defects import Item, check
from inspection.settings import InspectSettings
from nets import anchors, matching, nets_factory
from preprocessing import preprocessing_factory
from visualization import pictures

_COLUMNS = 2
_CELL = (300, 300)


def draw(items: Iterable[Item], labels: Sequence[str], settings: InspectSettings) -> None:
    """Writes `view.png`: each image once augmented, with its objects and their anchors.

    Args:
      items: the images to draw; those that cannot be read are left out.
      labels: class k is labels[k - 1].
      settings: name the network, its anchors, the seed and the folder.
    """
    network = nets_factory.get_network(settings.model_name)
    parameters = network.parameters
    preprocessing = preprocessing_factory.get_preprocessing(
        network.preprocessing, parameters.image_size, rgb_means=network.rgb_means
    )
    boxes = anchors.make(parameters, settings.anchor_sizes)
    rows = []
    for number, item in enumerate(items):
        checked = check(item, labels=None, input_side=parameters.image_size[0])
        if checked.header is None or any(d.kind == "bad_picture" for d in checked.defects):
            continue
        known = [thing for thing in checked.objects if thing.name in labels and not thing.crowd]
        image, found, classes = preprocessing.for_train(
            tf.constant(checked.data),
            tf.constant([thing.box for thing in known], tf.float32, [len(known), 4]),
            tf.constant([labels.index(thing.name) + 1 for thing in known], tf.int64, [len(known)]),
            seed=tf.constant([settings.seed, number], tf.int64),
        )
        targets = matching.match(found, classes, tf.constant(boxes)).classes.numpy()
        pixels = np.clip(image.numpy() + np.array(preprocessing.rgb_means), 0, 255)
        seen = pixels.round().astype(np.uint8)
        rows.append(_row(seen, found.numpy(), classes.numpy(), boxes, targets, labels))
    if rows:
        sheet = pictures.contact_sheet(
            rows,
            colours=pictures.class_colours(labels),
            columns=_COLUMNS,
            cell=_CELL,
            titles=("input of the network", "positive anchors"),
        )
        pictures.write_png(os.path.join(settings.output_dir, "view.png"), sheet)


def _row(
    image: np.ndarray,
    boxes: np.ndarray,
    classes: np.ndarray,
    anchor_boxes: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
) -> pictures.Comparison:
    positive = np.flatnonzero(targets)
    return pictures.Comparison(
        image=image,
        truth=pictures.DrawnBoxes(boxes, [labels[k - 1] for k in classes]),
        found=pictures.DrawnBoxes(
            anchor_boxes[positive],
            [labels[k - 1] for k in targets[positive]],
            difficult=np.ones(len(positive), bool),  # thin lines, as there are many
            written=False,
        ),
    )
