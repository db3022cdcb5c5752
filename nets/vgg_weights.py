"""How SSD on VGG-16 starts from a VGG-16 classifier in slim's names.

VGG's fully connected fc6 and fc7 become the convolutions conv6 and conv7 by taking every third row
and column and every fourth channel ("decimation", as in Caffe SSD).
"""

import numpy as np

from nets.network import ImportRules


def reduce_vgg(name: str, value: np.ndarray) -> np.ndarray:
    """Every third row and column and every fourth channel of fc6 and fc7, as convolutions.

    Args:
      name: of the tensor, with fc6 or fc7 in it.
      value: fc6 f32[7, 7, 512, 4096], fc7 f32[1, 1, 4096, 4096], or a bias f32[4096].

    Returns:
      conv6 f32[3, 3, 512, 1024], conv7 f32[1, 1, 1024, 1024], or a bias f32[1024].
    """
    if value.ndim == 1:
        return value[::4]
    return value[::3, ::3, :, ::4] if "/fc6/" in f"/{name}" else value[:, :, ::4, ::4]


IMPORTS = ImportRules(
    classifier="VGG-16", reduced={"conv6": "fc6", "conv7": "fc7"}, reduce=reduce_vgg
)
