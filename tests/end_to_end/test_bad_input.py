"""Bad input ends with exit code 2 and one clear sentence on stderr, without a traceback."""

import shutil

import pytest
import runs

pytestmark = pytest.mark.slow


def only_sentence(script: str, said: str) -> str:
    """What a script says to bad input, among what libraries may say."""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith(script)]
    assert len(lines) == 1, said
    return lines[0]


def refused(script: str, *flags: str) -> str:
    return only_sentence(script, runs.run(script, *flags, code=2).stderr)


@pytest.fixture
def refuse(capsys):
    """As `refused`, in this process."""
    return lambda script, *flags: only_sentence(script, runs.refuse(script, *flags, capsys=capsys))


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--batch_size=0", "--batch_size=0 must be 1 or more"),
        ("--batch_size=many", "batch_size"),
        ("--no_such_flag=1", "no_such_flag"),
        ("--dataset_dir=/no/such/folder", "/no/such/folder"),
        ("--dataset_split_name=validation", "validation"),
        ("--num_classes=4", "--num_classes=4"),
        ("--anchors=small", "--anchors=small"),
        ("--model_name=ssd_9000", "ssd_9000"),
        ("--optimizer=adam9", "adam9"),
        ("--learning_rate_decay_type=step", "--learning_rate_decay_boundaries"),
        ("--trainable_scopes=ssd_32_tiny/conv", "ssd_32_tiny/conv"),
        ("--train_image_size=512", "--train_image_size=512"),
        ("--input_scale=big", "--input_scale=big"),
        ("--train_dir=", "--train_dir"),
    ],
)
def test_bad_training_flag_is_refused(refuse, records, tmp_path, flag, said):
    flags = runs.train_flags(records, tmp_path / "run", steps=1)
    assert said in refuse("train_ssd_network.py", *flags, flag)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--anchors=coco", "--anchors=coco differs from the voc"),
        ("--depth_multiplier=0.25", "--depth_multiplier=0.25 differs"),
        ("--seed=4", "--seed=4 differs from the 3"),
        ("--optimizer=adam", "--optimizer=adam differs"),
    ],
)
def test_flag_that_may_not_change_is_refused_at_a_resume(
    refuse, trained, records, tmp_path, flag, said
):
    copy = shutil.copytree(trained, tmp_path / "copy")
    flags = runs.train_flags(records, copy, steps=8)
    assert said in refuse("train_ssd_network.py", *flags, flag)


def test_checkpoints_that_cannot_be_read_are_never_trained_over(refuse, trained, records, tmp_path):
    copy = shutil.copytree(trained, tmp_path / "copy")
    for path in copy.glob("ckpt-*.index"):
        path.write_bytes(b"torn")
    flags = runs.train_flags(records, copy, steps=8)
    assert "none can be read" in refuse("train_ssd_network.py", *flags)


def test_checkpoint_of_other_classes_is_refused_by_evaluation(refuse, trained, records, tmp_path):
    (tmp_path / "labels.txt").write_text("cat\ndog\nemu\nfox\ngnu\nhen\n")
    copy = shutil.copytree(records, tmp_path / "records")
    for path in copy.glob("*.json"):
        path.unlink()
    (copy / "labels.txt").unlink()
    said = refuse(
        "eval_ssd_network.py",
        f"--checkpoint_path={trained}",
        f"--eval_dir={tmp_path / 'eval'}",
        f"--dataset_dir={copy}",
        "--dataset_name=shapes",
        f"--labels_file={tmp_path / 'labels.txt'}",
    )
    assert "cat, dog, emu, fox, gnu, hen" in said


@pytest.fixture
def damaged(records, tmp_path):
    """The records with a flipped byte in the middle of each split."""
    copy = shutil.copytree(records, tmp_path / "records")
    for path in copy.glob("*.tfrecord"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    return copy


def test_flipped_byte_in_a_record_stops_training_by_name(damaged, tmp_path):
    said = refused("train_ssd_network.py", *runs.train_flags(damaged, tmp_path / "run", steps=20))
    assert "shapes_train_000.tfrecord" in said


def test_bad_record_may_be_skipped_in_training_and_evaluation(damaged, trained, tmp_path):
    flags = runs.train_flags(damaged, tmp_path / "run", steps=7)
    done = runs.run("train_ssd_network.py", *flags, "--skip_bad=1")
    assert "skipped, 1 of at most 1: " in done.stdout
    assert len(runs.read_metrics(tmp_path / "run")) == 7
    flags = [f"--checkpoint_path={trained}", f"--dataset_dir={damaged}", "--dataset_name=shapes"]
    flags += [f"--eval_dir={tmp_path / 'eval'}", f"--contact_sheet={tmp_path / 'sheet.png'}"]
    assert "shapes_test_000.tfrecord" in refused("eval_ssd_network.py", *flags)
    done = runs.run("eval_ssd_network.py", *flags, "--skip_bad=1")
    assert "1 bad records were left out of the score" in done.stdout
    assert '"num_images": 5,' in (tmp_path / "eval" / "metrics.json").read_text()


def test_inspection_of_a_bad_folder_exits_with_2(voc_dir, damaged):
    runs.run("inspect_dataset.py", f"--input={voc_dir}", "--split=train")
    flags = [f"--dataset_dir={damaged}", "--dataset_name=shapes", "--split=train"]
    done = runs.run("inspect_dataset.py", *flags, code=2)
    assert "bad record: 1" in done.stdout
    assert done.stderr.startswith("inspect_dataset.py: A training would be harmed: bad record.")
    assert len(done.stderr.splitlines()) == 1


def test_missing_checkpoint_is_refused(refuse, tmp_path):
    said = refuse("detect_ssd_network.py", f"--checkpoint_path={tmp_path}", f"--input={tmp_path}",
                  f"--output_dir={tmp_path / 'out'}")  # fmt: skip
    assert str(tmp_path) in said
