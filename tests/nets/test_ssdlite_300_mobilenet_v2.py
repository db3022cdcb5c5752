"""SSDLite on MobileNetV2: names, anchors, widths, and real weights against another runtime."""

import numpy as np
import pytest
import tensorflow as tf

from export.export import export
from export.settings import ExportSettings
from model import checkpoints
from model.description import Description
from model.detector import Detector
from model.exported import ExportedDetector
from nets import anchors, boxes, object_detection_api, ssdlite_300_mobilenet_v2
from nets.ssdlite_300_mobilenet_v2 import NETWORK, PARAMETERS
from runtime.errors import InputError

SHAPES = {  # by hand from the paper's table and the API's names
    "FeatureExtractor/MobilenetV2/Conv/weights": (3, 3, 3, 32),
    "FeatureExtractor/MobilenetV2/Conv/BatchNorm/gamma": (32,),
    "FeatureExtractor/MobilenetV2/expanded_conv/depthwise/depthwise_weights": (3, 3, 32, 1),
    "FeatureExtractor/MobilenetV2/expanded_conv/project/weights": (1, 1, 32, 16),
    "FeatureExtractor/MobilenetV2/expanded_conv_1/expand/weights": (1, 1, 16, 96),
    "FeatureExtractor/MobilenetV2/expanded_conv_13/expand/weights": (1, 1, 96, 576),
    "FeatureExtractor/MobilenetV2/expanded_conv_16/project/BatchNorm/moving_mean": (320,),
    "FeatureExtractor/MobilenetV2/Conv_1/weights": (1, 1, 320, 1280),
    "FeatureExtractor/MobilenetV2/layer_19_1_Conv2d_2_1x1_256/weights": (1, 1, 1280, 256),
    "FeatureExtractor/MobilenetV2/layer_19_2_Conv2d_5_3x3_s2_128_depthwise/depthwise_weights": (
        *(3, 3, 64, 1),
    ),
    "FeatureExtractor/MobilenetV2/layer_19_2_Conv2d_5_3x3_s2_128/weights": (1, 1, 64, 128),
    "BoxPredictor_0/BoxEncodingPredictor_depthwise/depthwise_weights": (3, 3, 576, 1),
    "BoxPredictor_0/BoxEncodingPredictor/weights": (1, 1, 576, 12),
    "BoxPredictor_5/ClassPredictor/biases": (6 * 91,),
}


@pytest.fixture(scope="module")
def detector():
    labels = object_detection_api.LABELS
    return Detector(Description(model_name="ssdlite_300_mobilenet_v2", labels=labels))


def test_variables_are_those_of_the_object_detection_api(detector):
    shapes = {name: tuple(each.shape) for name, each in detector.variables_by_name.items()}
    assert SHAPES.items() <= shapes.items()
    assert len(shapes) == 404
    assert sum(np.prod(shape) for shape in shapes.values()) == 4_551_295
    assert not [name for name in shapes if "Predictor/BatchNorm" in name]


def test_multiply_adds_are_the_published_count(detector):
    assert sum(layer.multiply_adds for layer in detector.layers) == pytest.approx(0.75e9, rel=0.01)


def test_anchors_are_the_apis():
    made = anchors.make(PARAMETERS, PARAMETERS.sizes_of("coco"))
    assert made.shape == (1917, 4)
    centre, root = 0.5 / 19, np.sqrt(2)
    sizes = [(0.1, 0.1), (0.2 / root, 0.2 * root), (0.2 * root, 0.2 / root)]  # height, width
    expected = [[centre - h / 2, centre - w / 2, centre + h / 2, centre + w / 2] for h, w in sizes]
    np.testing.assert_allclose(made[:3], expected, atol=1e-6)
    heights, widths = made[-6:, 2] - made[-6:, 0], made[-6:, 3] - made[-6:, 1]
    ratios = np.array([1, 2, 0.5, 3, 0.3333])
    np.testing.assert_allclose(widths[:5], 0.95 * np.sqrt(ratios), atol=1e-6)
    np.testing.assert_allclose(heights[:5], 0.95 / np.sqrt(ratios), atol=1e-6)
    assert heights[5] == pytest.approx(np.sqrt(0.95)) == widths[5]


@pytest.mark.parametrize(
    ("depth", "factor", "channels"),
    [(32, 1.0, 32), (32, 0.35, 16), (24, 0.35, 8), (64, 0.75, 48), (1280, 1.4, 1792), (16, 0.1, 8)],
)
def test_widths_are_multiples_of_8_and_at_most_a_tenth_too_narrow(depth, factor, channels):
    assert ssdlite_300_mobilenet_v2.scaled(depth, factor) == channels


def test_width_of_a_checkpoint_is_told_by_its_shapes():
    labels = ("cat", "dog")
    for width in (0.35, 1.4):
        narrow = Detector(
            Description(model_name=PARAMETERS.name, labels=labels, depth_multiplier=width)
        )
        shapes = {name: tuple(each.shape) for name, each in narrow.variables_by_name.items()}
        assert NETWORK.read_shapes(shapes) == (3, pytest.approx(width))
    shapes["FeatureExtractor/MobilenetV2/Conv/weights"] = (3, 3, 3, 56)
    with pytest.raises(ValueError, match="no factor"):
        NETWORK.read_shapes(shapes)


def test_box_code_is_permuted_and_back():
    name, value = "BoxPredictor_0/BoxEncodingPredictor/biases", np.arange(8.0)
    made = object_detection_api.permute_box_code(name, value)
    assert made.tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert object_detection_api.permute_box_code(name, made).tolist() == value.tolist()
    depthwise = "BoxPredictor_0/BoxEncodingPredictor_depthwise/depthwise_weights"
    for other in (depthwise, "BoxPredictor_0/ClassPredictor/biases"):
        assert object_detection_api.permute_box_code(other, value) is value


@pytest.fixture(scope="module")
def coco(shared):
    """Real weights, and what TensorFlow.js computed from them."""
    folder = shared / "data" / "ssdlite_mobilenet_v2_coco"
    return str(folder / "model.ckpt"), np.load(folder / "golden.npz")


@pytest.fixture(scope="module")
def restored(coco):
    return Detector.from_checkpoint(coco[0], precision="float32")


def test_api_checkpoint_says_what_it_is_by_its_names(restored):
    said = restored.description
    assert (said.model_name, said.anchors, said.score) == (PARAMETERS.name, "coco", "sigmoid")
    assert said.half_pixel_centers is False
    assert said.input_scale == 1 / 127.5
    assert len(said.labels) == 90
    assert (said.labels[0], said.labels[43], said.labels[89]) == ("person", "bottle", "toothbrush")


def test_scores_and_boxes_are_those_of_tensorflow_js(restored, coco):
    golden = coco[1]
    numbers = [name.removeprefix("image_") for name in golden.files if name.startswith("image_")]
    assert len(numbers) == 3
    for number in numbers:
        inputs = restored.preprocess(tf.constant(golden[f"image_{number}"]))[None]
        found = restored.predict(inputs)
        scores = tf.sigmoid(found.logits)[0, :, 1:]
        np.testing.assert_allclose(scores, golden[f"scores_{number}"], atol=1e-4)
        decoded = boxes.decode(found.offsets, restored.anchors, PARAMETERS.prior_scaling)[0]
        np.testing.assert_allclose(decoded, golden[f"boxes_{number}"], atol=1e-4)


def test_real_objects_are_found(restored, coco):
    (found,) = restored.detect([coco[1]["image_001825"]], select_threshold=0.5)
    assert [restored.labels[k - 1] for k in found.classes] == ["cat"]
    assert found.scores[0] == pytest.approx(0.95, abs=0.01)


def test_exports_of_an_api_checkpoint_find_what_it_finds(coco, restored, tmp_path):
    """Sigmoid scores, the old resizing and the box code go with them; slim's names go back."""
    image = coco[1]["image_001825"]
    (wanted,) = restored.detect([image], select_threshold=0.3)
    folder = str(tmp_path / "export")
    formats = ("saved_model", "tflite", "slim")
    export(ExportSettings(checkpoint_path=coco[0], export_dir=folder, format=formats))
    for name in formats[:2]:
        (found,) = ExportedDetector(folder, format=name).detect([image], select_threshold=0.3)
        np.testing.assert_array_equal(found.classes, wanted.classes)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-3)
    before, after = (checkpoints.read(path) for path in (coco[0], f"{folder}/model.ckpt"))
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-6, err_msg=name)


def test_labels_of_another_number_are_refused(coco):
    tensors = checkpoints.read(coco[0])
    shapes = {name: value.shape for name, value in tensors.items()}
    with pytest.raises(InputError, match="has 91 classes with background"):
        Description.from_shapes(shapes, model_name=PARAMETERS.name, labels=("cat",), anchors="coco")
