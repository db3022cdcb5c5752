"""Weights of other frameworks: the converted network computes what the original does."""

import os

import numpy as np
import pytest
import runs
import tensorflow as tf

from benchmarks import inference
from model.detector import Detector
from nets import boxes, ssd_vgg_300, vgg_weights
from nets.variables import SlimVariables
from runtime.errors import InputError
from scripts import convert_weights
from tests.limits import file_size_limit

LABELS = tuple(f"thing {k}" for k in range(4))


def convert(source, target, *flags: str, code: int = 0):
    return runs.run(
        "scripts/convert_weights.py", f"--input={source}", f"--output={target}", *flags, code=code
    )


def decoded_by_torchvision(offsets: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """Its BoxCoder: [A, 4] x, y, w, h against anchors [A, 4] x1, y1, x2, y2 -> the latter form."""
    sizes = priors[:, 2:] - priors[:, :2]
    centres = priors[:, :2] + sizes / 2 + offsets[:, :2] / 10 * sizes
    halves = np.exp(offsets[:, 2:] / 5) * sizes / 2
    return np.concatenate([centres - halves, centres + halves], 1)


@pytest.mark.slow
def test_torchvisions_ssd300_gives_the_same_logits_and_boxes(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `torch`")
    try:
        torchvision, _ = inference._import_torchvision()
    except ImportError:
        pytest.skip("torchvision is not installed: extra `torch`")
    torch.manual_seed(3)
    original = torchvision.models.detection.ssd300_vgg16(
        weights=None, weights_backbone=None, num_classes=len(LABELS) + 1
    ).eval()
    torch.nn.init.normal_(original.backbone.scale_weight, 20.0, 5.0)
    for name, value in original.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, 0.0, 0.1)
    torch.save(original.state_dict(), tmp_path / "ssd.pth")
    (tmp_path / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    picture = np.random.default_rng(2).uniform(-120, 130, (1, 300, 300, 3)).astype(np.float32)
    with torch.no_grad():
        inputs = torch.from_numpy(picture.transpose(0, 3, 1, 2))
        features = list(original.backbone(inputs).values())
        head = original.head(features)
        images = torchvision.models.detection.image_list.ImageList(inputs, [(300, 300)])
        priors = original.anchor_generator(images, features)[0].numpy() / 300

    convert(tmp_path / "ssd.pth", tmp_path / "out" / "ssd.ckpt",
            f"--labels_file={tmp_path / 'labels.txt'}")  # fmt: skip
    detector = Detector.from_checkpoint(str(tmp_path / "out" / "ssd.ckpt"), precision="float32")
    assert detector.labels == LABELS
    found = detector.predict(tf.constant(picture))
    logits = head["cls_logits"].numpy()
    np.testing.assert_allclose(found.logits, logits, atol=1e-4 * np.abs(logits).max())
    wanted = decoded_by_torchvision(head["bbox_regression"].numpy()[0], priors)[:, [1, 0, 3, 2]]
    made = boxes.decode(found.offsets[0], detector.anchors, detector.parameters.prior_scaling)
    np.testing.assert_allclose(made, wanted, rtol=1e-4, atol=1e-4)


def test_file_that_holds_more_than_weights_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: extra `torch`")
    torch.save({"model": tmp_path}, tmp_path / "ssd.pth")
    said = convert(tmp_path / "ssd.pth", tmp_path / "ckpt", code=2).stderr
    assert "cannot be read as weights alone" in said


@pytest.mark.parametrize("wrapping", [(), ("model",), ("state_dict",), ("state_dict", "model")])
def test_state_dict_is_found_in_what_trainers_put_it_into(wrapping):
    state = {"conv.weight": tf.zeros(2)}
    for name in wrapping:
        state = {name: state, "epoch": 3}
    assert [*convert_weights.unwrapped(state, "ssd.pth")] == ["conv.weight"]


@pytest.mark.parametrize("held", [[tf.zeros(2)], {"epoch": 3}, {"state_dict": [1]}, tf.zeros(2)])
def test_file_without_a_state_dict_is_refused(held):
    with pytest.raises(InputError, match=r"--input=ssd\.pth holds no state dict of tensors"):
        convert_weights.unwrapped(held, "ssd.pth")


def test_labels_of_weights_without_classes_are_refused(tmp_path):
    (tmp_path / "vgg.h5").write_text("")
    with pytest.raises(InputError, match=r"--labels_file=x does nothing without a \.pth"):
        convert_weights.WeightSettings(
            input=str(tmp_path / "vgg.h5"), output="ckpt", labels_file="x"
        )


def test_output_that_cannot_be_written_is_bad_input(tmp_path):
    tensors = {"weights": np.zeros(1000, np.float32)}
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"--output=.*/file/ckpt could not be written"):
        convert_weights.write(tensors, str(tmp_path / "file" / "ckpt"))
    said = r"--output=.*/new/ckpt could not be written"
    with pytest.raises(InputError, match=said), file_size_limit(500):
        convert_weights.write(tensors, str(tmp_path / "new" / "ckpt"))


def backbone(variables: dict[str, np.ndarray], inputs: np.ndarray) -> np.ndarray:
    """conv5_3 of our backbone with these variables."""
    owner = SlimVariables(seed=0)
    with owner.scope("vgg_16"), ssd_vgg_300.arg_scope("he"):
        ssd_vgg_300.backbone(tf.constant(inputs), 1.0)
        for name, value in variables.items():
            if name in owner.by_name:
                owner.by_name[name].assign(value)
        return ssd_vgg_300.backbone(tf.constant(inputs), 1.0)["block5"].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16.weights.h5", "vgg16.h5"])
@pytest.mark.filterwarnings("ignore")  # Keras' own
def test_keras_vgg16_gives_the_same_features(name, tmp_path):
    import keras

    original = keras.applications.VGG16(weights=None, include_top=False, input_shape=(64, 64, 3))
    draw = np.random.default_rng(4)
    original.set_weights([
        value + draw.normal(size=value.shape) * 0.1 * (value.ndim == 1)
        for value in original.get_weights()
    ])  # fmt: skip
    save = original.save_weights if "weights" in name else original.save
    save(str(tmp_path / name))
    picture = draw.uniform(-120, 130, (1, 64, 64, 3)).astype(np.float32)
    features = keras.Model(original.inputs, original.get_layer("block5_conv3").output)
    wanted = features.predict(picture[..., ::-1], verbose=0)  # BGR
    convert(tmp_path / name, tmp_path / "vgg_16.ckpt")
    reader = tf.train.load_checkpoint(str(tmp_path / "vgg_16.ckpt"))
    names = reader.get_variable_to_shape_map()
    assert all(each.startswith("vgg_16/conv") for each in names)
    found = backbone({each: reader.get_tensor(each) for each in names}, picture)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_old_keras_files_are_read(tmp_path):
    """Those on the web: a group a layer, datasets `block1_conv1_W_1:0`; fc layers as matrices."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        inputs = 3
        for block, repeats in enumerate((2, 2, 3, 3, 3), 1):
            for k in range(1, repeats + 1):
                layer = f"block{block}_conv{k}"
                file[f"{layer}/{layer}_W_1:0"] = np.ones((3, 3, inputs, 8), np.float32)
                file[f"{layer}/{layer}_b_1:0"] = np.full(8, block, np.float32)
                inputs = 8
        file["fc1/fc1_W_1:0"], file["fc1/fc1_b_1:0"] = np.ones((7 * 7 * 8, 16)), np.zeros(16)
        file.create_group("flatten")
    convert(tmp_path / "old.h5", tmp_path / "vgg_16.ckpt")
    shapes = tf.train.load_checkpoint(str(tmp_path / "vgg_16.ckpt")).get_variable_to_shape_map()
    assert shapes["vgg_16/fc6/weights"] == [7, 7, 8, 16]
    assert len(shapes) == 28
    reduced = vgg_weights.reduce_vgg("vgg_16/fc6/weights", np.zeros(shapes["vgg_16/fc6/weights"]))
    assert reduced.shape == (3, 3, 8, 4)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    assert "cannot be read as HDF5" in convert(tmp_path / "text.h5", "x", code=2).stderr


def write_h5(path, **options):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("block1_conv1/kernel", **options)
    return str(path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shape": (10**5, 10**5), "dtype": "f4", "chunks": (10**3, 10**3)}, "bytes of weights"),
        ({"data": None, "dtype": "f4"}, "holds no numbers"),
        ({"data": "text"}, "holds no numbers"),
        ({"shape": (9,), "dtype": "f4", "external": "/etc/passwd"}, "is kept in another file"),
    ],
    ids=["bomb", "empty", "text", "external"],
)
def test_arrays_of_keras_are_numbers_in_the_file(tmp_path, options, said):
    if "data" in options and options["data"] is None:
        import h5py

        options = {"data": h5py.Empty("f4")}
    with pytest.raises(InputError, match=f"cannot be read as HDF5 .*{said}"):
        convert_weights.read_keras(write_h5(tmp_path / "a.h5", **options))


def test_pipe_is_no_file_of_keras(tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"cannot be read as HDF5 .*not a regular file"):
        convert_weights.read_keras(str(tmp_path / "a.h5"))
