"""TensorFlow.js graph models: shards, quantised weights, and damage."""

import json

import numpy as np
import pytest

from model import graph_model
from nets import object_detection_api
from runtime.errors import InputError

VALUES = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(-7, np.int32),
    "c": np.array([0.5, -1.0, 2.0], np.float32),
}


def write(folder, *, cut: int = 0, paths=("s1", "s2")) -> str:
    """`c` as bytes times 0.5 minus 1; the shards part a weight."""
    coded = np.array([3, 0, 6], np.uint8)
    data = VALUES["a"].tobytes() + VALUES["b"].tobytes() + coded.tobytes()
    data = data[: len(data) - cut]
    (folder / "s1").write_bytes(data[:9])
    (folder / "s2").write_bytes(data[9:])
    weights = [
        {"name": "a", "shape": [2, 3], "dtype": "float32"},
        {"name": "b", "shape": [], "dtype": "int32"},
        {
            "name": "c",
            "shape": [3],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
    ]
    model = {"modelTopology": {}, "weightsManifest": [{"paths": paths, "weights": weights}]}
    (folder / "model.json").write_text(json.dumps(model))
    return str(folder)


def test_weights_are_read_from_the_folder_or_its_json(tmp_path):
    for path in (write(tmp_path), str(tmp_path / "model.json")):
        found = graph_model.read(path)
        assert found.keys() == VALUES.keys()
        for name, value in VALUES.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cut": 1}, r"c ends at byte 31 of 30"),
        ({"paths": ("s1", "s3")}, "s3"),
        ({"paths": ("s1", "../s2")}, "lies elsewhere"),
        ({"paths": 3}, "TypeError"),
    ],
)
def test_model_that_is_not_whole_is_refused(tmp_path, options, sentence):
    path = write(tmp_path, **options)
    with pytest.raises(InputError, match=sentence):
        graph_model.read(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weightsManifest": [{}]}', "{" * 2000])
def test_other_json_is_refused(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(InputError, match=r"is not a whole TensorFlow\.js graph model"):
        graph_model.read(str(tmp_path))


def test_folded_norm_becomes_statistics_that_compute_the_same():
    weights = {
        "FeatureExtractor/MobilenetV2/Conv/Conv2D/merged_input": np.ones((1, 1, 3, 2), np.float32),
        "FeatureExtractor/MobilenetV2/Conv/BatchNorm/batchnorm/sub": np.float32([1, 2]),
        "FeatureExtractor/X/depthwise/depthwise_weights": np.ones((3, 3, 2, 1), np.float32),
        "FeatureExtractor/X/depthwise/BatchNorm/batchnorm/mul": np.float32([3, 4]),
        "FeatureExtractor/X/depthwise/BatchNorm/batchnorm/sub": np.float32([5, 6]),
        "BoxPredictor_0/BoxEncodingPredictor/biases": np.zeros(12, np.float32),
        "BoxPredictor_0/stack_1/2": np.int32(1),
        "Postprocessor/ExpandDims": np.zeros(3, np.float32),
    }
    made = object_detection_api.from_graph_model(weights)
    norm = "FeatureExtractor/X/depthwise/BatchNorm"
    assert sorted(made) == sorted(
        [
            "FeatureExtractor/MobilenetV2/Conv/weights",
            *(
                f"{scope}/{name}"
                for scope in ("FeatureExtractor/MobilenetV2/Conv/BatchNorm", norm)
                for name in ("gamma", "beta", "moving_mean", "moving_variance")
            ),
            "FeatureExtractor/X/depthwise/depthwise_weights",
            "BoxPredictor_0/BoxEncodingPredictor/biases",
        ]
    )
    factor = made[f"{norm}/gamma"] / np.sqrt(made[f"{norm}/moving_variance"] + 1e-3)
    np.testing.assert_allclose(factor, [3, 4], rtol=1e-6)
    assert made[f"{norm}/beta"].tolist() == [5, 6]
    assert made["FeatureExtractor/MobilenetV2/Conv/BatchNorm/gamma"].tolist() == [1, 1]
    with pytest.raises(InputError, match="no BoxEncodingPredictor"):
        object_detection_api.from_graph_model({})
