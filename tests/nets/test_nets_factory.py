"""Networks by name."""

import numpy as np
import pytest
import tensorflow as tf
import tf_slim as slim

from export import slim as slim_checkpoint
from model.description import Description
from model.detector import Detector
from nets import nets_factory, ssd_vgg_300
from nets.network import CheckpointDefaults, Network
from nets.parameters import FeatureLayer, SSDParameters, caffe_shapes, chained
from runtime.errors import InputError


def test_ssd_300_vgg_is_found_with_its_geometry():
    network = nets_factory.get_network("ssd_300_vgg")
    assert network.parameters is ssd_vgg_300.PARAMETERS
    assert network.build is ssd_vgg_300.network


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"--model_name=vgg_16 .* ssd_300_vgg"):
        nets_factory.get_network("vgg_16")


def test_every_network_has_the_name_it_is_found_by():
    for name, network in nets_factory.NETWORKS.items():
        assert network.parameters.name == name


TOY = SSDParameters(
    name="toy",
    image_size=(32, 32),
    layers=(
        FeatureLayer("half", 16, caffe_shapes(2.0), 2),
        FeatureLayer("quarter", 8, caffe_shapes(), 4),
    ),
    anchor_sizes={"voc": chained(4.0, 8.0, 16.0)},
)


def build_toy(inputs, *, num_classes, depth_multiplier, initializer, training):
    del depth_multiplier, training
    with ssd_vgg_300.arg_scope(initializer):
        half = slim.conv2d(inputs, 8, [3, 3], stride=2, scope="stem")
        quarter = slim.conv2d(half, 8, [3, 3], stride=2, scope="conv2")
        maps = {"half": half, "quarter": quarter}
        return *ssd_vgg_300.predictions(maps, TOY, num_classes), maps


DESCRIPTION = {"model_name": "toy", "labels": ("cat", "dog")}
INPUTS = tf.random.stateless_normal([2, 32, 32, 3], [1, 2], stddev=50.0)
PICTURE = np.full((40, 50, 3), 90, np.uint8)


@pytest.fixture
def register(monkeypatch):
    """Adds the toy with some facts of its record changed; what stands above is its file."""

    def add(**facts):
        record = Network(TOY, build_toy, first_layer="stem")._replace(**facts)
        monkeypatch.setitem(nets_factory.NETWORKS, "toy", record)

    return add


def test_network_is_added_in_a_few_lines(register):
    register()
    detector = Detector(Description(**DESCRIPTION))
    assert "toy/quarter_box/conv_cls/weights" in detector.variables_by_name
    assert detector.predict(INPUTS).logits.shape == (2, 16 * 16 * 3 + 8 * 8 * 2, 3)
    (found,) = detector.detect([PICTURE], select_threshold=0.1, keep_top_k=7)
    assert len(found.boxes) == 7


def test_input_scale_folds_into_the_networks_own_first_layer(register):
    register()
    scaled = Detector(Description(**DESCRIPTION, input_scale=0.125))
    folded = slim_checkpoint.fold_input_scale(scaled)
    changed = [n for n, v in scaled.variables_by_name.items() if np.any(folded[n] != v)]
    assert changed == ["toy/stem/weights"]
    plain = Detector(Description(**DESCRIPTION), seed=7)
    plain.load(folded)
    np.testing.assert_allclose(
        plain.predict(INPUTS).logits, scaled.predict(INPUTS).logits, atol=1e-4
    )


def test_shapes_of_a_checkpoint_tell_the_classes_of_any_network(register):
    register(undescribed=CheckpointDefaults("voc", input_scale=0.5))
    variables = Detector(Description(**DESCRIPTION)).variables_by_name
    shapes = {name: tuple(value.shape) for name, value in variables.items()}
    told = Description.from_shapes(shapes, model_name="toy", labels=None, anchors="voc")
    assert (told.num_classes, told.depth_multiplier, told.input_scale) == (3, 1.0, 0.5)


def test_mean_is_the_networks_own_where_it_has_one(register):
    register(rgb_means=(10.0, 20.0, 30.0))
    detector = Detector(Description(**DESCRIPTION))
    assert detector.preprocessing.rgb_means == (10.0, 20.0, 30.0)
    assert detector.preprocess(tf.constant(PICTURE))[0, 0].numpy().tolist() == [80.0, 70.0, 60.0]
    encoded = tf.io.encode_png(PICTURE)
    image, *_ = detector.preprocessing.without_augmentation(
        encoded, tf.zeros([0, 4]), tf.zeros([0], tf.int64)
    )
    assert image[0, 0].numpy().tolist() == [80.0, 70.0, 60.0]


def test_name_of_a_network_stands_for_its_preprocessing(register):
    register(preprocessing="own")
    assert nets_factory.get_preprocessing_name("toy", None) == "own"
    assert nets_factory.get_preprocessing_name("ssd_300_vgg", "toy") == "own"
    assert nets_factory.get_preprocessing_name("toy", "ssd_300_vgg") == "ssd_vgg"
    assert nets_factory.get_preprocessing_name("toy", "another") == "another"


def test_kind_of_score_is_the_checkpoints(register):
    register()
    detector = Detector(Description(**DESCRIPTION, score="sigmoid"))
    predictions = detector.predict(INPUTS)
    found = detector.postprocess(predictions)
    best = tf.reduce_max(tf.sigmoid(predictions.logits)[..., 1:], axis=[1, 2])
    np.testing.assert_allclose(found.scores[:, 0], best, rtol=1e-6)


def test_hook_of_the_record_makes_the_weights(register):
    register(weight_hook=lambda name, value: 0.0 * value if "stem/" in name else value)
    end_points = Detector(Description(**DESCRIPTION)).end_points(INPUTS)
    assert np.all(end_points["half"] == 0)


def test_geometry_that_the_network_does_not_make_is_refused(register):
    wrong = TOY.layers[1]._replace(size=7)
    register(parameters=TOY._replace(layers=(TOY.layers[0], wrong)))
    with pytest.raises(ValueError, match=r"toy: quarter has \(8, 8\) cells .* says 7 x 7"):
        Detector(Description(**DESCRIPTION))
