"""Names, sizes, what an unknown name says, and how one's own is added."""

import json
import types

import numpy as np
import pytest
import tensorflow as tf

from export import tflite
from export.export import export
from export.settings import ExportSettings
from model import checkpoints
from model.description import Description
from model.detector import Detector
from preprocessing import preprocessing_factory as factory
from runtime.errors import InputError

PICTURE = np.random.default_rng(0).integers(0, 256, [40, 60, 3], np.uint8)


@pytest.mark.parametrize("side", [300, 512])
def test_functions_carry_the_size_of_the_net(side):
    preprocessing = factory.get_preprocessing("ssd_300_vgg", (side, side))
    encoded, boxes, labels = tf.io.encode_png(PICTURE), tf.zeros([0, 4]), tf.zeros([0], tf.int64)
    assert preprocessing.for_eval(preprocessing.decode(encoded)).shape == [side, side, 3]
    assert preprocessing.without_augmentation(encoded, boxes, labels)[0].shape == [side, side, 3]
    trained = preprocessing.for_train(encoded, boxes, labels, seed=tf.constant([1, 2]))
    assert trained[0].shape == [side, side, 3]


def test_unknown_name_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"'vgg_16' is unknown.*ssd_300_vgg, ssd_512_vgg"):
        factory.get_preprocessing("vgg_16", (300, 300))


def less_own_means(image, *, image_size, resize=None):
    del resize
    return tf.image.resize(image, image_size) - tf.constant([10.0, 20.0, 30.0])


def test_own_preprocessing_and_its_mean_are_added_in_a_module_and_a_line(monkeypatch, tmp_path):
    """A checkpoint that names it is detected with and exported with it."""
    own = types.SimpleNamespace(**vars(factory.MODULES["ssd_300_vgg"]))
    own.RGB_MEANS, own.preprocess_for_eval = (10.0, 20.0, 30.0), less_own_means
    monkeypatch.setitem(factory.MODULES, "own", own)
    description = Description(
        model_name="ssd_300_vgg", labels=("a",), depth_multiplier=0.02, preprocessing_name="own"
    )
    detector = Detector(Description.from_json(description.to_json()))
    picture = tf.fill([300, 300, 3], tf.constant(50, tf.uint8))
    inputs = detector.preprocess(picture)
    assert inputs[0, 0].numpy().tolist() == [40.0, 30.0, 20.0]
    images = tf.cast(picture, tf.float32)[None]
    exported = tflite.network_of_pictures(detector, batch=1)(images=images)
    np.testing.assert_allclose(exported["logits"], detector.predict(inputs[None]).logits, atol=1e-5)

    tensors = {**detector.variables_by_name, "description": tf.constant(description.to_json())}
    path = checkpoints.save(str(tmp_path / "train"), 1, tensors)
    out = str(tmp_path / "out")
    export(ExportSettings(checkpoint_path=path, export_dir=out, format=("slim",)))
    assert json.loads((tmp_path / "out" / "export.json").read_text())["rgb_means"] == [10, 20, 30]
