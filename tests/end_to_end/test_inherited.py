"""Scripts written for SSD-Tensorflow run as they are; only what makes them short is added.

The command lines are those of its README. Each `${NAME}` is filled in as its shell would.
"""

import json
import pathlib
import shlex
import string

import numpy as np
import pytest
import runs
import tensorflow as tf

from model import checkpoints
from model.description import Description
from model.detector import Detector
from nets.vgg_weights import reduce_vgg

pytestmark = pytest.mark.slow

CONVERT = """
python tf_convert_data.py \
    --dataset_name=pascalvoc \
    --dataset_dir=${DATASET_DIR} \
    --output_name=voc_${YEAR}_${SPLIT} \
    --output_dir=${OUTPUT_DIR}
"""
EVALUATE = """
python eval_ssd_network.py \
    --eval_dir=${EVAL_DIR} \
    --dataset_dir=${DATASET_DIR} \
    --dataset_name=pascalvoc_2007 \
    --dataset_split_name=test \
    --model_name=ssd_300_vgg \
    --checkpoint_path=${CHECKPOINT_PATH} \
    --batch_size=1
"""
FINE_TUNE = """
python train_ssd_network.py \
    --train_dir=${TRAIN_DIR} \
    --dataset_dir=${DATASET_DIR} \
    --dataset_name=pascalvoc_2012 \
    --dataset_split_name=train \
    --model_name=ssd_300_vgg \
    --checkpoint_path=${CHECKPOINT_PATH} \
    --save_summaries_secs=60 \
    --save_interval_secs=600 \
    --weight_decay=0.0005 \
    --optimizer=adam \
    --learning_rate=0.001 \
    --batch_size=32
"""
EVALUATE_BESIDE = """
python eval_ssd_network.py \
    --eval_dir=${EVAL_DIR} \
    --dataset_dir=${DATASET_DIR} \
    --dataset_name=pascalvoc_2007 \
    --dataset_split_name=test \
    --model_name=ssd_300_vgg \
    --checkpoint_path=${TRAIN_DIR} \
    --wait_for_checkpoints=True \
    --batch_size=1 \
    --max_num_batches=500
"""
NEW_LAYERS = ",".join(
    f"ssd_300_vgg/{name}"
    for name in ("conv6", "conv7", "block8", "block9", "block10", "block11", "block4_box",
                 "block7_box", "block8_box", "block9_box", "block10_box", "block11_box")
)  # fmt: skip
FROM_VGG = f"""
python train_ssd_network.py \
    --train_dir=${{TRAIN_DIR}} \
    --dataset_dir=${{DATASET_DIR}} \
    --dataset_name=pascalvoc_2007 \
    --dataset_split_name=train \
    --model_name=ssd_300_vgg \
    --checkpoint_path=${{CHECKPOINT_PATH}} \
    --checkpoint_model_scope=vgg_16 \
    --checkpoint_exclude_scopes={NEW_LAYERS} \
    --trainable_scopes={NEW_LAYERS} \
    --save_summaries_secs=60 \
    --save_interval_secs=600 \
    --weight_decay=0.0005 \
    --optimizer=adam \
    --learning_rate=0.001 \
    --learning_rate_decay_factor=0.94 \
    --batch_size=32
"""
SECOND_PHASE = """
python train_ssd_network.py \
    --train_dir=${TRAIN_DIR} \
    --dataset_dir=${DATASET_DIR} \
    --dataset_name=pascalvoc_2007 \
    --dataset_split_name=train \
    --model_name=ssd_300_vgg \
    --checkpoint_path=${CHECKPOINT_PATH} \
    --checkpoint_model_scope=vgg_16 \
    --save_summaries_secs=60 \
    --save_interval_secs=600 \
    --weight_decay=0.0005 \
    --optimizer=adam \
    --learning_rate=0.00001 \
    --learning_rate_decay_factor=0.94 \
    --batch_size=32
"""
SHORT = ("--depth_multiplier=0.0625", "--max_number_of_steps=2", "--seed=3")
AS_VOC = {"circle": "cat", "cross": "dog", "ring": "sofa", "square": "train", "star": "bird",
          "triangle": "boat"}  # fmt: skip
# All 48 flags of train_ssd_network.py.
ALL = """
--loss_alpha=1 --negative_ratio=3 --match_threshold=0.5 --label_smoothing=0.0
--train_dir=${TRAIN_DIR}
--num_clones=1 --clone_on_cpu=False --num_readers=2 --num_preprocessing_threads=2
--log_every_n_steps=1 --save_summaries_secs=600 --save_interval_secs=600 --gpu_memory_fraction=0.8
--weight_decay=0.00004 --optimizer=rmsprop --adadelta_rho=0.95
--adagrad_initial_accumulator_value=0.1 --adam_beta1=0.9 --adam_beta2=0.999 --opt_epsilon=1.0
--ftrl_learning_rate_power=-0.5 --ftrl_initial_accumulator_value=0.1 --ftrl_l1=0.0 --ftrl_l2=0.0
--momentum=0.9 --rmsprop_momentum=0.9 --rmsprop_decay=0.9 --learning_rate_decay_type=exponential
--learning_rate=0.01 --end_learning_rate=0.0001 --learning_rate_decay_factor=0.94
--num_epochs_per_decay=2.0 --moving_average_decay=0.9999
--dataset_name=pascalvoc_2007 --num_classes=21
--dataset_split_name=train --dataset_dir=${DATASET_DIR} --labels_offset=0 --model_name=ssd_300_vgg
--preprocessing_name=ssd_300_vgg --batch_size=4 --train_image_size=300 --max_number_of_steps=1
--checkpoint_path=${CHECKPOINT_PATH} --checkpoint_model_scope=ssd_300_vgg
--checkpoint_exclude_scopes=ssd_300_vgg/block4_box --trainable_scopes=ssd_300_vgg
--ignore_missing_vars=True
"""
ALL_OF_EVALUATION = """
--num_classes=21 --batch_size=1 --max_num_batches=2 --master= --checkpoint_path=${CHECKPOINT_PATH}
--eval_dir=${EVAL_DIR} --num_preprocessing_threads=2 --dataset_name=pascalvoc_2007
--dataset_split_name=test --dataset_dir=${DATASET_DIR} --model_name=ssd_300_vgg
--gpu_memory_fraction=0.1
--wait_for_checkpoints=False --select_threshold=0.01 --select_top_k=400 --keep_top_k=200
--nms_threshold=0.45 --matching_threshold=0.5 --remove_difficult=True
"""


def flags(text: str, **values) -> list[str]:
    return shlex.split(string.Template(text).substitute(values))


def execute(command: str, *more: str, **values) -> str:
    """Runs a command of the README, with flags added at its end."""
    python, script, *given = flags(command, **values)
    assert python == "python"
    return runs.run(script, *given, *more).stdout


def plan(folder: pathlib.Path) -> dict[str, np.ndarray]:
    return checkpoints.newest(str(folder)).tensors


@pytest.fixture(scope="module")
def tfrecords(voc_dir, tmp_path_factory):
    """The drawn images under names of VOC's classes, as records of VOC 2007 and 2012."""
    folder = tmp_path_factory.mktemp("voc")
    for split in ("train", "test"):
        devkit = folder / split
        for part in ("Annotations", "JPEGImages"):
            (devkit / part).mkdir(parents=True)
        for name in (voc_dir / "ImageSets" / "Main" / f"{split}.txt").read_text().split():
            text = (voc_dir / "Annotations" / f"{name}.xml").read_text()
            for shape, label in AS_VOC.items():
                text = text.replace(f"<name>{shape}</name>", f"<name>{label}</name>")
            (devkit / "Annotations" / f"{name}.xml").write_text(text)
            source = voc_dir / "JPEGImages" / f"{name}.jpg"
            (devkit / "JPEGImages" / source.name).symlink_to(source)
    for year, split in (("2007", "train"), ("2007", "test"), ("2012", "train")):
        place = f"{folder / split}/"
        execute(CONVERT, DATASET_DIR=place, OUTPUT_DIR=folder / "tfrecords", YEAR=year, SPLIT=split)
    return folder / "tfrecords"


def write_tf1_checkpoint(path: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
    """With TF1's Saver, in a graph and a session, as slim wrote them."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(value, name=name) for name, value in tensors.items()]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(path), write_meta_graph=False)


@pytest.fixture(scope="module")
def ssd_checkpoint(tmp_path_factory):
    """A narrow SSD of VOC's classes in TF1's format, with a prior that lets it detect."""
    path = tmp_path_factory.mktemp("ssd") / "VGG_VOC0712_SSD_300x300_ft_iter_120000.ckpt"
    labels = tuple(f"class_{k}" for k in range(20))
    description = Description(model_name="ssd_300_vgg", labels=labels, depth_multiplier=0.0625)
    detector = Detector(description, seed=11, initializer="xavier")
    weights = {name: value.numpy() for name, value in detector.variables_by_name.items()}
    write_tf1_checkpoint(path, weights)
    return path


@pytest.fixture(scope="module")
def vgg_checkpoint(ssd_checkpoint):
    """A VGG-16 of that width, fully connected layers included."""
    path = ssd_checkpoint.parent / "vgg_16.ckpt"
    weights = {
        name.replace("ssd_300_vgg", "vgg_16"): value
        for name, value in checkpoints.read(str(ssd_checkpoint)).items()
        if name.split("/")[1] in {"conv1", "conv2", "conv3", "conv4", "conv5"}
    }
    draw = np.random.default_rng(0).normal(size=(7, 7, 32, 256)).astype(np.float32) * 0.02
    weights["vgg_16/fc6/weights"], weights["vgg_16/fc6/biases"] = draw, draw[0, 0, 0]
    write_tf1_checkpoint(path, weights)
    return path


def test_fine_tuning_and_evaluation_of_an_ssd_checkpoint(tfrecords, ssd_checkpoint, tmp_path):
    values = {"DATASET_DIR": tfrecords, "CHECKPOINT_PATH": ssd_checkpoint}
    output = execute(FINE_TUNE, *SHORT, TRAIN_DIR=f"{tmp_path}/logs/", **values)
    assert "71 restored" in output
    assert plan(tmp_path / "logs")["global_step"] == 2
    evaluate = {"EVAL_DIR": tmp_path / "eval", "TRAIN_DIR": tmp_path / "logs"}
    output = execute(EVALUATE_BESIDE, "--eval_timeout_secs=0", **evaluate, DATASET_DIR=tfrecords)
    assert f"{tmp_path / 'logs' / 'ckpt-2'}: mAP_VOC07" in output
    metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
    assert (metrics["step"], metrics["num_images"]) == (2, 6)


def test_evaluation_of_a_checkpoint_that_says_nothing_of_itself(
    tfrecords, ssd_checkpoint, tmp_path
):
    values = {"DATASET_DIR": tfrecords, "CHECKPOINT_PATH": ssd_checkpoint, "EVAL_DIR": tmp_path}
    output = execute(EVALUATE, **values)
    assert "NOTE: the checkpoint does not name its anchors" in output
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["num_images"] == 6
    assert set(AS_VOC.values()) <= set(metrics["AP_VOC07"])
    assert "NOTE" not in execute(EVALUATE, "--anchors=voc", **values)


def test_both_phases_from_vgg(tfrecords, vgg_checkpoint, tmp_path):
    values = {"DATASET_DIR": tfrecords, "CHECKPOINT_PATH": vgg_checkpoint}
    execute(FROM_VGG, *SHORT, TRAIN_DIR=tmp_path / "log", **values)
    source, first = checkpoints.read(str(vgg_checkpoint)), plan(tmp_path / "log")
    frozen = "conv5/conv5_3/weights"
    np.testing.assert_array_equal(first[f"ssd_300_vgg/{frozen}"], source[f"vgg_16/{frozen}"])
    reduced = reduce_vgg("vgg_16/fc6/weights", source["vgg_16/fc6/weights"])
    assert not np.array_equal(first["ssd_300_vgg/conv6/weights"], reduced)  # as the script asks
    values["CHECKPOINT_PATH"] = tmp_path / "log" / "model.ckpt-2"
    output = execute(SECOND_PHASE, *SHORT, TRAIN_DIR=tmp_path / "log_finetune", **values)
    assert "Warning: --checkpoint_model_scope=vgg_16 matches nothing" in output
    second = plan(tmp_path / "log_finetune")
    assert not np.array_equal(second[f"ssd_300_vgg/{frozen}"], first[f"ssd_300_vgg/{frozen}"])


def test_every_flag_given_trains_and_evaluates(tfrecords, ssd_checkpoint, tmp_path):
    values = {"DATASET_DIR": tfrecords, "CHECKPOINT_PATH": ssd_checkpoint}
    given = flags(ALL, TRAIN_DIR=tmp_path, **values)
    assert len({flag.partition("=")[0] for flag in given}) == 48
    runs.run("train_ssd_network.py", *given, "--depth_multiplier=0.0625")
    assert plan(tmp_path)["global_step"] == 1
    values |= {"CHECKPOINT_PATH": tmp_path, "EVAL_DIR": tmp_path / "eval"}
    runs.run("eval_ssd_network.py", *flags(ALL_OF_EVALUATION, **values))
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text())["num_images"] == 2
