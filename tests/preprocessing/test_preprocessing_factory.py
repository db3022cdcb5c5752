"""Names, sizes, and what an unknown name says."""

import numpy as np
import pytest
import tensorflow as tf

from errors import InputError
from preprocessing import preprocessing_factory as factory

PICTURE = np.random.default_rng(0).integers(0, 256, [40, 60, 3], np.uint8)


@pytest.mark.parametrize(("name", "side"), [("ssd_300_vgg", 300), ("ssd_512_vgg", 512)])
def test_functions_carry_the_size_of_the_net(name, side):
    preprocessing = factory.get_preprocessing(name)
    encoded, boxes, labels = tf.io.encode_png(PICTURE), tf.zeros([0, 4]), tf.zeros([0], tf.int64)
    assert preprocessing.image_size == (side, side)
    assert preprocessing.for_eval(preprocessing.decode(encoded)).shape == [side, side, 3]
    assert preprocessing.without_augmentation(encoded, boxes, labels)[0].shape == [side, side, 3]
    trained = preprocessing.for_train(encoded, boxes, labels, seed=tf.constant([1, 2]))
    assert trained[0].shape == [side, side, 3]


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"'vgg_16' is unknown.*ssd_300_vgg, ssd_512_vgg"):
        factory.get_preprocessing("vgg_16")
