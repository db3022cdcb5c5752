"""SSD-512: the network of `ssd_vgg_300.py` with a seventh predicting layer, block12.

Every extra block halves its feature map, and the last one shrinks 2 x 2 to a single cell with a
4 x 4 kernel.
"""

import functools

from nets import ssd_vgg_300
from nets.parameters import FeatureLayer, SSDParameters, caffe_shapes, chained
from nets.ssd_vgg_300 import Block

_TWO, _FOUR = caffe_shapes(2.0, 1 / 2), caffe_shapes(2.0, 1 / 2, 3.0, 1 / 3)
PARAMETERS = SSDParameters(
    name="ssd_512_vgg",
    image_size=(512, 512),
    layers=(
        FeatureLayer("block4", 64, _TWO, 8, normalization=20.0),
        FeatureLayer("block7", 32, _FOUR, 16),
        FeatureLayer("block8", 16, _FOUR, 32),
        FeatureLayer("block9", 8, _FOUR, 64),
        FeatureLayer("block10", 4, _FOUR, 128),
        FeatureLayer("block11", 2, _TWO, 256),
        FeatureLayer("block12", 1, _TWO, 512),
    ),
    anchor_sizes={
        "voc": chained(35.84, 76.8, 153.6, 230.4, 307.2, 384.0, 460.8, 537.6),
        "coco": chained(20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72),
    },
)
EXTRA_BLOCKS = (
    Block("block8", 256, 512, 2),
    Block("block9", 128, 256, 2),
    Block("block10", 128, 256, 2),
    Block("block11", 128, 256, 2),
    Block("block12", 128, 256, 1, kernel=4),
)
network = functools.partial(ssd_vgg_300.network, parameters=PARAMETERS, extra_blocks=EXTRA_BLOCKS)
NETWORK = ssd_vgg_300.NETWORK._replace(parameters=PARAMETERS, build=network)
