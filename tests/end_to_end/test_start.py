"""Starting from other people's weights, as their scripts do, on checkpoints in TF1's own format."""

import json
import shutil

import numpy as np
import pytest
import runs
import tensorflow as tf

from model import checkpoints
from model.description import Description
from model.detector import Detector

pytestmark = pytest.mark.slow

LABELS = ("circle", "cross", "ring", "square", "star", "triangle")
WIDTH = 0.0625
NEW_SCOPES = ",".join(
    f"ssd_300_vgg/{name}"
    for name in ("block8", "block9", "block10", "block11", "block4_box", "block7_box",
                 "block8_box", "block9_box", "block10_box", "block11_box")
)  # fmt: skip


def write_tf1_checkpoint(path: str, tensors: dict[str, np.ndarray]) -> None:
    """With TF1's Saver, in a graph and a session, as slim wrote them."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(value, name=name) for name, value in tensors.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, path, write_meta_graph=False)


def random_weights(num_labels: int = len(LABELS)) -> dict[str, np.ndarray]:
    labels = tuple(f"class_{k}" for k in range(num_labels))
    description = Description(model_name="ssd_300_vgg", labels=labels, depth_multiplier=WIDTH)
    variables = Detector(description, seed=11, initializer="xavier").variables_by_name
    return {name: variable.numpy() for name, variable in variables.items()}


@pytest.fixture(scope="module")
def vgg_checkpoint(tmp_path_factory):
    """A VGG-16 of our width in slim's names, fully connected layers and classifier included."""
    path = str(tmp_path_factory.mktemp("vgg") / "vgg_16.ckpt")
    weights = random_weights()
    backbone = {
        name.replace("ssd_300_vgg/", "vgg_16/"): value
        for name, value in weights.items()
        if name.split("/")[1] in {"conv1", "conv2", "conv3", "conv4", "conv5"}
    }
    draw = np.random.default_rng(0).normal(size=(7, 7, 32, 256)).astype(np.float32)
    connected = {
        "vgg_16/fc6/weights": draw * 0.02,
        "vgg_16/fc6/biases": np.arange(256, dtype=np.float32) / 1000,
        "vgg_16/fc7/weights": draw[0, 0].reshape(1, 1, 32, 256).repeat(8, axis=2) * 0.05,
        "vgg_16/fc7/biases": np.zeros(256, np.float32),
        "vgg_16/fc8/weights": np.zeros((1, 1, 256, 10), np.float32),
    }
    write_tf1_checkpoint(path, {**backbone, **connected})
    return path


@pytest.fixture(scope="module")
def ssd_checkpoint(tmp_path_factory):
    """An SSD checkpoint as SSD-Tensorflow wrote them: scope, names and Saver."""
    path = str(tmp_path_factory.mktemp("ssd") / "model.ckpt-120000")
    write_tf1_checkpoint(path, random_weights())
    return path


def train(records, folder, *flags: str, steps: int = 2, network=runs.NARROW_VGG) -> str:
    flags = (*runs.train_flags(records, folder, steps=steps), *network, *flags)
    return runs.run("train_ssd_network.py", *flags).stdout


def test_vgg_checkpoint_fills_backbone_and_reduced_layers(vgg_checkpoint, records, tmp_path):
    flags = (f"--checkpoint_path={vgg_checkpoint}", "--checkpoint_model_scope=vgg_16",
             f"--checkpoint_exclude_scopes={NEW_SCOPES}", "--learning_rate=0")  # fmt: skip
    output = train(records, tmp_path / "run", *flags, steps=1)
    assert "26 renamed, 4 reduced, 41 new" in output
    found = checkpoints.newest(str(tmp_path / "run")).tensors
    source = checkpoints.read(vgg_checkpoint)
    np.testing.assert_array_equal(
        found["ssd_300_vgg/conv5/conv5_3/weights"], source["vgg_16/conv5/conv5_3/weights"]
    )
    np.testing.assert_array_equal(
        found["ssd_300_vgg/conv6/weights"], source["vgg_16/fc6/weights"][::3, ::3, :, ::4]
    )
    assert json.loads(found["description"].item())["input_scale"] == 1.0


def test_second_phase_trains_everything_from_the_first(vgg_checkpoint, records, tmp_path):
    """SSD-Tensorflow's recipe: new layers first, then all, from the first phase's folder."""
    first = (f"--checkpoint_path={vgg_checkpoint}", "--checkpoint_model_scope=vgg_16",
             f"--checkpoint_exclude_scopes={NEW_SCOPES}",
             f"--trainable_scopes={NEW_SCOPES}")  # fmt: skip
    train(records, tmp_path / "first", *first)
    before = checkpoints.read(vgg_checkpoint)["vgg_16/conv1/conv1_1/weights"]
    frozen = checkpoints.newest(str(tmp_path / "first")).tensors
    np.testing.assert_array_equal(frozen["ssd_300_vgg/conv1/conv1_1/weights"], before)
    output = train(records, tmp_path / "all", f"--checkpoint_path={tmp_path / 'first'}")
    assert "71 restored" in output
    trained = checkpoints.newest(str(tmp_path / "all")).tensors
    assert np.any(trained["ssd_300_vgg/conv1/conv1_1/weights"] != before)


def test_ssd_checkpoint_is_fine_tuned_with_its_anchors_said_loudly(
    ssd_checkpoint, records, tmp_path
):
    output = train(records, tmp_path / "run", f"--checkpoint_path={ssd_checkpoint}")
    assert "71 restored" in output
    assert "--anchors=coco" in output
    found = checkpoints.newest(str(tmp_path / "run")).tensors
    assert json.loads(found["description"].item())["anchors"] == "coco"


def test_wrong_scope_of_the_old_readme_still_works(ssd_checkpoint, records, tmp_path):
    flags = (f"--checkpoint_path={ssd_checkpoint}", "--checkpoint_model_scope=vgg_16")
    output = train(records, tmp_path / "run", *flags)
    assert "Warning: --checkpoint_model_scope=vgg_16 matches nothing" in output
    assert "71 restored" in output


def test_dry_run_prints_the_plan_and_writes_nothing(ssd_checkpoint, records, tmp_path):
    flags = (
        f"--checkpoint_path={ssd_checkpoint}",
        "--dry_run",
        "--trainable_scopes=ssd_300_vgg/conv7",
    )
    output = train(records, tmp_path / "run", *flags)
    rows = [line.split() for line in output.splitlines() if "ssd_300_vgg/" in line]
    assert len(rows) == 71
    assert sum("frozen" in row for row in rows) == 69
    assert "71 restored, 0 renamed, 0 reduced, 0 new, 69 frozen" in output
    assert not (tmp_path / "run").exists()


def test_used_train_dir_wins_loudly(ssd_checkpoint, trained, records, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    output = train(records, copy, f"--checkpoint_path={ssd_checkpoint}", steps=7, network=())
    warning = next(line for line in output.splitlines() if line.startswith("WARNING"))
    assert ssd_checkpoint in warning
    assert str(copy / "ckpt-6") in warning


def test_checkpoint_of_other_classes_is_refused_with_the_flag_to_pass(records, tmp_path, capsys):
    path = str(tmp_path / "model.ckpt-1")
    write_tf1_checkpoint(path, random_weights(num_labels=20))
    flags = [*runs.train_flags(records, tmp_path / "run", steps=1), *runs.NARROW_VGG]
    flags.append(f"--checkpoint_path={path}")
    said = runs.refuse("train_ssd_network.py", *flags, capsys=capsys)
    assert "conv_cls" in said
    assert "--initialize_last_layer=False" in said
    output = train(records, tmp_path / "run", f"--checkpoint_path={path}",
                   "--initialize_last_layer=False")  # fmt: skip
    assert "new" in output


def test_resume_needs_the_first_checkpoint_no_more(trained, records, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    output = train(records, copy, f"--checkpoint_path={tmp_path / 'gone'}", steps=7, network=())
    assert f"--checkpoint_path={tmp_path / 'gone'} is NOT used" in output
