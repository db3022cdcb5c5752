"""Every format is run on the same images and agrees with the checkpoint it came from."""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from export import tflite
from export.export import export
from export.settings import ExportSettings
from model import checkpoints
from model.description import Description
from model.detector import Detector
from model.exported import ExportedDetector, is_export
from runtime.errors import InputError

DESCRIPTION = Description(
    model_name="ssd_300_vgg",
    labels=("cat", "dog", "cow"),
    depth_multiplier=1 / 16,
    input_scale=1 / 58,
)
SIZES = ((90, 120), (310, 200), (300, 300))
THRESHOLDS = {"select_threshold": 0.3, "keep_top_k": 200}

# Runs alone in a process without this project: SavedModel and images in, detections out.
FOREIGN = """
import sys
for name in ("deployment", "nets", "preprocessing", "datasets", "metrics", "tf_slim"):
    sys.modules[name] = None  # an import of it fails, installed or not
import numpy as np
import tensorflow as tf
folder, images, out = sys.argv[1:]
model = tf.saved_model.load(folder)
arrays = np.load(images)
found = {}
for name in arrays.files:
    if name.startswith("image"):
        image = arrays[name]
        png = tf.io.encode_png(image)[None]
        results = {
            "default": model.signatures["serving_default"](images=tf.constant(image[None])),
            "encoded": model.signatures["encoded"](encoded_images=png),
        }
        for signature, result in results.items():
            for key, value in result.items():
                found[f"{signature}/{name}/{key}"] = value.numpy()
for key, value in model.signatures["raw"](inputs=tf.constant(arrays["inputs"])).items():
    found[f"raw/{key}"] = value.numpy()
np.savez(out, **found)
"""


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Random weights, so that scores differ enough between anchors."""
    return Detector(DESCRIPTION, seed=3)


@pytest.fixture(scope="module")
def checkpoint(detector, tmp_path_factory) -> str:
    tensors = {
        **detector.variables_by_name,
        "description": tf.constant(DESCRIPTION.to_json()),
        "global_step": tf.constant(7, tf.int64),
    }
    return checkpoints.save(str(tmp_path_factory.mktemp("train")), 7, tensors)


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Smooth noise: blobs as images have them."""
    rng = np.random.default_rng(1)
    coarse = [rng.integers(0, 256, (9, 9, 3), np.uint8) for _ in SIZES]
    pairs = zip(coarse, SIZES, strict=True)
    return [cv2.resize(one, size[::-1], interpolation=cv2.INTER_CUBIC) for one, size in pairs]


@pytest.fixture(scope="module")
def expected(detector, pictures):
    return detector.detect(pictures, **THRESHOLDS)


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("export") / "all"
    formats = ("saved_model", "tflite", "slim")
    export(
        ExportSettings(
            checkpoint_path=checkpoint, export_dir=str(folder), format=formats, **THRESHOLDS
        )
    )
    return str(folder)


def assert_agree(found, expected, *, boxes: float, scores: float) -> None:
    """Each of the 100 best detections has its like; near-equal scores may change places."""
    assert len(expected.scores) >= 100
    assert abs(len(found.scores) - len(expected.scores)) <= 2
    far = np.abs(found.boxes[None] - expected.boxes[:100, None]).max(axis=2)
    off = np.abs(found.scores[None] - expected.scores[:100, None])
    same = found.classes[None] == expected.classes[:100, None]
    assert (same & (far < boxes) & (off < scores)).any(axis=1).all()


@pytest.fixture(scope="module")
def served(exported, pictures, detector, tmp_path_factory):
    """What a process says that has TensorFlow and nothing of this project."""
    folder = tmp_path_factory.mktemp("elsewhere")
    inputs = tf.stack([detector.preprocess(tf.constant(one)) for one in pictures])
    arrays = {f"image{k}": one for k, one in enumerate(pictures)}
    np.savez(folder / "pictures.npz", inputs=inputs, **arrays)
    script = folder / "serve.py"
    script.write_text(FOREIGN)
    paths = [exported, str(folder / "pictures.npz"), str(folder / "found.npz")]
    done = subprocess.run(
        [sys.executable, "-I", str(script), *paths],
        cwd=folder,
        env={"TF_CPP_MIN_LOG_LEVEL": "2", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "found.npz")


@pytest.mark.parametrize("signature", ["default", "encoded"])
def test_saved_model_detects_without_this_project(served, expected, signature):
    for k, wanted in enumerate(expected):
        found = {
            key: served[f"{signature}/image{k}/{key}"][0]
            for key in ("boxes", "classes", "scores", "num_detections")
        }
        count = found.pop("num_detections")
        assert count.dtype == np.int32
        assert found["boxes"].shape == (200, 4)
        assert found["classes"].dtype == np.int64
        one = dataclasses.make_dataclass("Found", found)(*(v[:count] for v in found.values()))
        assert_agree(one, wanted, boxes=1e-3, scores=1e-4)


def test_saved_model_gives_raw_outputs(served, detector, pictures):
    inputs = tf.stack([detector.preprocess(tf.constant(one)) for one in pictures])
    predictions = detector.predict(inputs)
    np.testing.assert_allclose(served["raw/logits"], predictions.logits, atol=1e-3)
    np.testing.assert_allclose(served["raw/offsets"], predictions.offsets, atol=1e-3)


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_exported_detector_finds_what_the_checkpoint_finds(exported, pictures, expected, format):
    model = ExportedDetector(exported, format=format)
    assert model.labels == DESCRIPTION.labels
    assert is_export(exported)
    for found, wanted in zip(model.detect(pictures, **THRESHOLDS), expected, strict=True):
        assert_agree(found, wanted, boxes=1e-3, scores=1e-4)


@pytest.mark.parametrize("format", ["saved_model", "tflite"])
def test_pictures_go_through_an_export_together_and_find_what_each_finds_alone(
    exported, pictures, format
):
    model, batches = ExportedDetector(exported, format=format), []
    network = model._network

    def counted(images):
        batches.append(len(images))
        return network(images)

    model._network = counted
    together = model.detect(pictures, **THRESHOLDS)
    alone = [model.detect([one], **THRESHOLDS)[0] for one in pictures]
    assert batches == [3, 1, 1, 1]
    assert model.detect([]) == []
    for found, wanted in zip(together, alone, strict=True):
        assert_agree(found, wanted, boxes=1e-4, scores=1e-5)


def test_thresholds_of_an_export_hold_where_a_call_gives_none(checkpoint, pictures, tmp_path):
    settings = ExportSettings(
        checkpoint_path=checkpoint,
        export_dir=str(tmp_path / "few"),
        format=("tflite",),
        select_threshold=0.3,
        keep_top_k=7,
    )
    export(settings)
    model = ExportedDetector(settings.export_dir)
    found = model.detect(pictures)
    assert [len(one.scores) for one in found] == [7, 7, 7]
    assert len(model.detect(pictures[:1], keep_top_k=9)[0].scores) == 9
    assert not len(model.detect(pictures[:1], select_threshold=found[0].scores[0])[0].scores)


def test_saved_model_in_bfloat16_finds_nearly_that(checkpoint, pictures, expected, tmp_path):
    folder = str(tmp_path / "out")
    export(ExportSettings(checkpoint_path=checkpoint, export_dir=folder, precision="bfloat16"))
    found = ExportedDetector(folder).detect(pictures, **THRESHOLDS)
    for one, wanted in zip(found, expected, strict=True):
        far = np.abs(one.boxes[None] - wanted.boxes[:100, None]).max(axis=2)
        off = np.abs(one.scores[None] - wanted.scores[:100, None])
        assert ((far < 0.01) & (off < 1e-3)).any(axis=1).mean() >= 0.9
        assert np.abs(one.scores[:100] - wanted.scores[:100]).max() > 1e-5  # another arithmetic


def test_onnx_finds_what_the_checkpoint_finds(checkpoint, pictures, expected, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    folder = str(tmp_path / "onnx")
    export(ExportSettings(checkpoint_path=checkpoint, export_dir=folder, format=("onnx",)))
    for found, wanted in zip(
        ExportedDetector(folder).detect(pictures, **THRESHOLDS), expected, strict=True
    ):
        assert_agree(found, wanted, boxes=1e-3, scores=1e-4)


@pytest.mark.parametrize(
    ("quantization", "largest", "boxes", "scores"),
    [("float16", 0.6, 3e-3, 0.01), ("int8", 0.4, 0.1, 0.3)],
)
def test_quantised_tflite_is_small_and_close(
    checkpoint, exported, pictures, expected, tmp_path, quantization, largest, boxes, scores
):
    (tmp_path / "typical").mkdir()
    for k, one in enumerate(pictures):
        cv2.imwrite(str(tmp_path / "typical" / f"{k}.png"), one[..., ::-1])
    folder = str(tmp_path / "small")
    calibration = str(tmp_path / "typical") if quantization == "int8" else ""
    export(
        ExportSettings(
            checkpoint_path=checkpoint,
            export_dir=folder,
            format=("tflite",),
            tflite_quantization=quantization,
            calibration_dir=calibration,
        )
    )
    sizes = [len(tf.io.read_file(f"{path}/model.tflite").numpy()) for path in (folder, exported)]
    assert sizes[0] < largest * sizes[1]
    found = ExportedDetector(folder).detect(pictures, select_threshold=0.2, nms_threshold=0.9)
    for one, wanted in zip(found, expected, strict=True):
        best = np.abs(one.boxes[None] - wanted.boxes[:10, None]).max(axis=2)
        off = np.abs(one.scores[None] - wanted.scores[:10, None])
        assert ((best < boxes) & (off < scores)).any(axis=1).mean() >= 0.9


def test_calibration_reads_what_detection_reads(detector, tmp_path):
    for name in ("a.tiff", "b.webp"):
        cv2.imwrite(str(tmp_path / name), np.full((40, 60, 3), (30, 20, 10), np.uint8))
    paths = tflite.list_pictures(str(tmp_path))
    found = np.concatenate([x for (x,) in tflite.calibration_inputs(detector, paths)])
    np.testing.assert_allclose(found, np.broadcast_to([10, 20, 30], (2, 300, 300, 3)), atol=3)


def test_calibration_skips_an_unreadable_image(detector, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((40, 60, 3), 9, np.uint8))
    (tmp_path / "b.jpg").write_bytes(b"no image")
    paths = tflite.list_pictures(str(tmp_path))
    assert len(list(tflite.calibration_inputs(detector, paths))) == 1
    assert "b.jpg is skipped (the file is truncated" in capsys.readouterr().out
    with pytest.raises(InputError, match="no image that can be read"):
        list(tflite.calibration_inputs(detector, paths[1:]))


def test_calibration_folder_may_have_a_pattern_s_letters_in_its_name(tmp_path):
    folder = tmp_path / "cal [1]"
    folder.mkdir()
    for name in ("b.PNG", "a.jpg", ".hidden.jpg", "notes.txt"):
        (folder / name).touch()
    assert tflite.list_pictures(str(folder)) == [f"{folder}/a.jpg", f"{folder}/b.PNG"]


def test_calibration_folder_without_pictures_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"--calibration_dir=.* holds no image"):
            tflite.list_pictures(str(folder))


def test_slim_checkpoint_needs_no_input_scale(exported, detector, pictures):
    reader = tf.train.load_checkpoint(f"{exported}/model.ckpt")
    assert set(reader.get_variable_to_shape_map()) == set(detector.variables_by_name)
    plain = Detector(dataclasses.replace(DESCRIPTION, input_scale=1.0), seed=9)
    plain.load(checkpoints.read(f"{exported}/model.ckpt"))
    inputs = detector.preprocess(tf.constant(pictures[0]))[None]
    mine, theirs = detector.predict(inputs), plain.predict(inputs)
    np.testing.assert_allclose(theirs.logits, mine.logits, atol=1e-3)
    np.testing.assert_allclose(theirs.offsets, mine.offsets, atol=1e-3)


def test_slim_checkpoint_restores_in_a_tf1_session(exported, detector):
    v1 = tf.compat.v1
    name = "ssd_300_vgg/conv4/conv4_3/weights"
    with tf.Graph().as_default(), v1.Session() as session:
        shape = detector.variables_by_name[name].shape
        variable = v1.get_variable(name, shape, use_resource=False)
        v1.train.Saver([variable]).restore(session, f"{exported}/model.ckpt")
        restored = session.run(variable)
    np.testing.assert_array_equal(restored, detector.variables_by_name[name].numpy())
    old = v1.train.NewCheckpointReader(f"{exported}/model.ckpt")
    np.testing.assert_array_equal(old.get_tensor(name), restored)


def test_slim_checkpoint_can_be_exported_again(exported, pictures, expected, tmp_path):
    labels = tmp_path / "names.txt"
    labels.write_text("cat\ndog\ncow\n")
    folder = str(tmp_path / "again")
    settings = ExportSettings(
        checkpoint_path=f"{exported}/model.ckpt",
        export_dir=folder,
        labels_file=str(labels),
        anchors="voc",
    )
    export(settings)
    model = ExportedDetector(folder)
    assert model.labels == ("cat", "dog", "cow")
    for found, wanted in zip(model.detect(pictures, **THRESHOLDS), expected, strict=True):
        assert_agree(found, wanted, boxes=1e-3, scores=1e-4)


def test_export_says_what_it_holds(exported):
    with open(f"{exported}/export.json") as file:
        about = json.load(file)
    assert about["formats"] == ["saved_model", "tflite", "slim"]
    assert about["step"] == 7
    assert about["thresholds"]["select_threshold"] == 0.3
    assert Description.from_json(json.dumps(about["description"])) == DESCRIPTION
    with open(f"{exported}/labels.txt") as file:
        assert file.read().split() == list(DESCRIPTION.labels)


@pytest.mark.parametrize("average", [True, False])
def test_use_moving_average_chooses_the_weights(detector, average, tmp_path):
    name = "ssd_300_vgg/conv1/conv1_1/biases"
    tensors = {
        **detector.variables_by_name,
        f"{name}/ExponentialMovingAverage": tf.fill([8], 7.0),
        "description": tf.constant(DESCRIPTION.to_json()),
    }
    path = checkpoints.save(str(tmp_path / "train"), 1, tensors)
    folder = str(tmp_path / "out")
    export(
        ExportSettings(
            checkpoint_path=path, export_dir=folder, format=("slim",), use_moving_average=average
        )
    )
    biases = tf.train.load_checkpoint(f"{folder}/model.ckpt").get_tensor(name)
    assert (biases == 7.0).all() == average


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"format": ("keras",)}, "--format=keras is not known"),
        ({"format": ()}, "--format= is not known: take some of saved_model, tflite"),
        ({"nms_threshold": 1.0}, "--nms_threshold=1.0 must lie in"),
        ({"precision": "bfloat16", "format": ("slim",)}, "--precision=bfloat16 is for saved_model"),
        ({"tflite_quantization": "int8"}, "add that format"),
        ({"tflite_quantization": "int8", "format": ("tflite",)}, "int8 needs a folder"),
        ({"keep_top_k": 7, "format": ("slim",)}, "--keep_top_k=7 does nothing without --format=sa"),
        ({"calibration_dir": "photos"}, "nothing else reads one"),
        ({"export_dir": ""}, "--export_dir is missing"),
    ],
)
def test_wrong_settings_are_refused(flags, said):
    with pytest.raises(InputError, match=said):
        ExportSettings(**{"checkpoint_path": "train", "export_dir": "out", **flags})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"num_classes": 21}, "--num_classes=21 differs from the checkpoint's 4"),
        ({"anchors": "coco"}, "--anchors=coco differs"),
    ],
)
def test_flags_that_contradict_the_checkpoint_are_refused(checkpoint, tmp_path, flags, said):
    settings = ExportSettings(checkpoint_path=checkpoint, export_dir=str(tmp_path / "o"), **flags)
    with pytest.raises(InputError, match=said):
        export(settings)


def test_folder_without_an_export_is_refused(tmp_path, exported):
    assert not is_export(str(tmp_path))
    with pytest.raises(InputError, match="holds no export"):
        ExportedDetector(str(tmp_path))
    with pytest.raises(InputError, match="not onnx"):
        ExportedDetector(exported, format="onnx")


def test_saved_model_is_said_to_be_a_program(exported, capsys):
    ExportedDetector(exported, format="saved_model")
    assert "is a SavedModel, a program that runs with your rights" in capsys.readouterr().err
