"""Checkpoints by name: round trip, atomicity, which is the newest and which are kept."""

import os
import time

import numpy as np
import pytest
import tensorflow as tf

from model import checkpoints
from runtime.errors import InputError
from tests.limits import file_size_limit

TENSORS = {
    "net/conv1/weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "net/conv1/weights/Momentum": np.ones((2, 3), np.float32),
    "global_step": np.int64(7),
}


def save(folder, step: int, value: float = 0.0) -> str:
    tensors = {**TENSORS, "net/conv1/weights": TENSORS["net/conv1/weights"] + value}
    texts = {"description": tf.constant('{"format": 1}')}
    return checkpoints.save(str(folder), step, {**tensors, **texts})


def test_read_returns_what_was_saved(tmp_path):
    tensors = checkpoints.read(save(tmp_path, 7))
    assert tensors.keys() == {*TENSORS, "description"}
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], value)
    assert tensors["description"].item() == b'{"format": 1}'


def test_names_are_readable_by_tensorflows_own_reader(tmp_path):
    path = save(tmp_path, 7)
    assert tf.train.latest_checkpoint(str(tmp_path)) == path
    shapes = dict(tf.train.list_variables(path))
    assert shapes["net/conv1/weights"] == [2, 3]


def test_save_leaves_no_temporary_behind_and_removes_an_old_one(tmp_path):
    (tmp_path / "ckpt-7_temp").mkdir()
    (tmp_path / "ckpt-7_temp" / "ckpt.index").write_text("half")
    save(tmp_path, 7)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["checkpoint", "ckpt-7.data-00000-of-00001", "ckpt-7.index"]


def test_newest_is_by_step_and_not_by_name(tmp_path):
    for step in (9, 100, 20):
        save(tmp_path, step, value=step)
    found = checkpoints.newest(str(tmp_path))
    assert (found.step, found.skipped) == (100, ())
    assert found.tensors["net/conv1/weights"][0, 0] == 100


def test_newest_of_a_folder_without_checkpoints_is_none(tmp_path):
    assert checkpoints.newest(str(tmp_path)) is None
    assert checkpoints.newest(str(tmp_path / "absent")) is None


def test_keep_newest_removes_the_older_ones(tmp_path):
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    checkpoints.keep_newest(str(tmp_path), 2)
    assert checkpoints.list_steps(str(tmp_path)) == [3, 10]
    assert not list(tmp_path.glob("ckpt-1.*"))
    assert 'ckpt-1"' not in (tmp_path / "checkpoint").read_text()
    checkpoints.keep_newest(str(tmp_path), 0)
    assert checkpoints.list_steps(str(tmp_path)) == [3, 10]


@pytest.fixture
def done_to_disk(monkeypatch):
    """What is synced and renamed, in order, as "sync NAME" and "rename to NAME"."""
    done, sync, rename = [], os.fsync, tf.io.gfile.rename

    def recording_sync(descriptor):
        done.append(f"sync {os.path.basename(os.readlink(f'/proc/self/fd/{descriptor}'))}")
        sync(descriptor)

    def recording_rename(source, target, overwrite=False):
        done.append(f"rename to {os.path.basename(target)}")
        rename(source, target, overwrite)

    monkeypatch.setattr(os, "fsync", recording_sync)
    monkeypatch.setattr(tf.io.gfile, "rename", recording_rename)
    return done


def test_saved_files_reach_the_disk_before_their_names_and_the_index_is_named_last(
    tmp_path, done_to_disk
):
    save(tmp_path, 7)
    assert done_to_disk[:5] == [
        "sync ckpt.data-00000-of-00001",
        "rename to ckpt-7.data-00000-of-00001",
        "sync ckpt.index",
        "rename to ckpt-7.index",
        f"sync {tmp_path.name}",
    ]


def test_copied_files_reach_the_disk_before_their_names_and_the_index_is_named_last(
    tmp_path, done_to_disk
):
    (tmp_path / "best").mkdir()
    checkpoints.replace_best(str(tmp_path / "best"), 7, {"w": tf.zeros(3)})
    assert done_to_disk[:5] == [
        "sync ckpt.data-00000-of-00001",
        "rename to ckpt-7.data-00000-of-00001",
        "sync ckpt.index",
        "rename to ckpt-7.index",
        "sync best",
    ]


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_resolve_takes_a_checkpoint_or_one_of_its_files(tmp_path, ending):
    path = save(tmp_path, 3)
    assert checkpoints.resolve(path + ending) == path


def test_resolve_takes_the_newest_of_a_folder(tmp_path):
    save(tmp_path, 3)
    path = save(tmp_path, 12)
    assert checkpoints.resolve(f"{tmp_path}/") == path


def test_resolve_takes_the_best_of_a_run_and_says_so(tmp_path, capsys):
    """The folder may be the train_dir, or hold it as `train`; a best that is damaged is skipped."""
    folder = tmp_path / "mine" / "train"
    save(folder, 12)
    newest, best = str(folder / "ckpt-12"), str(folder / "best" / "ckpt-3")
    assert checkpoints.resolve(f"{tmp_path}/mine/") == newest
    assert capsys.readouterr().out == f"Checkpoint: {newest}, the latest of {folder}.\n"
    checkpoints.replace_best(str(folder / "best"), 3, {"w": tf.zeros(3)})
    for given in (tmp_path / "mine", folder):
        assert checkpoints.resolve(str(given)) == best
        assert capsys.readouterr().out == f"Checkpoint: {best}, the best of {folder}.\n"
    assert checkpoints.resolve(newest) == newest
    harm(best)
    assert checkpoints.resolve(str(folder)) == newest
    assert "ckpt-3 cannot be read" in capsys.readouterr().out


def harm(path: str) -> None:
    """Flips a bit of the data: only a full read notices."""
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def test_resolve_passes_over_a_damaged_newest_and_says_so(tmp_path, capsys):
    path = save(tmp_path, 3)
    harm(save(tmp_path, 12))
    assert checkpoints.resolve(str(tmp_path)) == path
    assert "Skipped: Checkpoint" in (said := capsys.readouterr().out)
    assert "ckpt-12 cannot be read" in said
    harm(path)
    with pytest.raises(InputError, match="none can be read"):
        checkpoints.resolve(str(tmp_path))


def test_damaged_newest_is_set_aside_and_costs_no_good_one_its_place(tmp_path):
    for step in (3, 8, 12):
        save(tmp_path, step)
    harm(str(tmp_path / "ckpt-12"))
    checkpoints.quarantine_unreadable(str(tmp_path), after=8)
    assert len(list(tmp_path.glob("ckpt-12.*.damaged"))) == 2
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-8")
    save(tmp_path, 9)
    checkpoints.keep_newest(str(tmp_path), 1)
    assert checkpoints.newest(str(tmp_path)).step == 9
    assert checkpoints.list_steps(str(tmp_path)) == [9]
    checkpoints.refuse_foreign(str(tmp_path))


def test_resolve_refuses_a_folder_without_checkpoints(tmp_path):
    with pytest.raises(InputError, match="holds no checkpoint"):
        checkpoints.resolve(str(tmp_path))


def test_records_are_no_checkpoints(tmp_path):
    for name in ("x_train_000.tfrecord", "x_train_000.tfrecord.index", "x_train.json"):
        (tmp_path / name).write_text("")
    checkpoints.refuse_foreign(str(tmp_path))
    with pytest.raises(InputError, match="holds no checkpoint"):
        checkpoints.resolve(str(tmp_path))


def test_absent_weights_name_the_command_that_fetches_them(tmp_path):
    with pytest.raises(InputError, match=r"or fetch it by scripts/fetch_weights\.py vgg_16\."):
        checkpoints.resolve(f"{tmp_path}/vgg_16.ckpt")


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (["model.ckpt-9.index", "model.ckpt-120000.index", "checkpoint"], "model.ckpt-120000"),
        (["vgg_16.ckpt"], "vgg_16.ckpt"),
        (["model.ckpt-500", "model.ckpt-500.meta"], "model.ckpt-500"),
    ],
)
def test_checkpoints_of_another_trainer_are_refused_by_name(tmp_path, names, newest):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=f"{newest} of another trainer.*_path={tmp_path}/{newest}"):
        checkpoints.refuse_foreign(str(tmp_path))
    save(tmp_path, 3)  # ours are resumed
    checkpoints.refuse_foreign(str(tmp_path))


def test_folder_without_checkpoints_is_not_another_trainers(tmp_path):
    for name in ("flags.txt", "checkpoint", "events.out.tfevents.1", "records.tfrecord"):
        (tmp_path / name).write_text("")
    checkpoints.refuse_foreign(str(tmp_path))
    checkpoints.refuse_foreign(str(tmp_path / "absent"))


def test_leftovers_of_killed_saves_are_removed_and_nothing_else(tmp_path):
    save(tmp_path, 3)
    names = {path.name for path in tmp_path.iterdir()} | {"ckpt-3.txt", "my_ckpt-4_temp"}
    for name in ("ckpt-3.txt", "my_ckpt-4_temp", "ckpt-9.data-00000-of-00001",
                 "ckpt-8.index.temp", "ckpt-8.data-00000-of-00001.temp"):  # fmt: skip
        (tmp_path / name).write_text("")
    (tmp_path / "ckpt-9_temp").mkdir()
    (tmp_path / "ckpt-9_temp" / "ckpt.index").write_text("half")
    checkpoints.remove_leftovers(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == names
    checkpoints.remove_leftovers(str(tmp_path / "absent"))


def test_leftover_that_is_a_link_goes_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "photo").write_text("mine")
    for prepare in (lambda: checkpoints.remove_leftovers(str(tmp_path)), lambda: save(tmp_path, 7)):
        (tmp_path / "ckpt-7_temp").symlink_to("elsewhere")
        prepare()
        assert not os.path.lexists(tmp_path / "ckpt-7_temp")
        assert (tmp_path / "elsewhere" / "photo").read_text() == "mine"


@pytest.mark.parametrize(("path", "step"), [("a/ckpt-120", 120), ("vgg_16.ckpt", 0)])
def test_step_of_reads_the_name(path, step):
    assert checkpoints.step_of(path) == step


def test_resolve_finds_ours_under_the_name_older_trainers_gave(tmp_path):
    path = save(tmp_path, 3)
    assert checkpoints.resolve(str(tmp_path / "model.ckpt-3")) == path
    with pytest.raises(InputError, match="holds no checkpoint"):
        checkpoints.resolve(str(tmp_path / "model.ckpt-4"))


def save_at(folder, step: int, minutes: float) -> None:
    """Saves a checkpoint as if so many minutes after the run's start, and removes what may go."""
    path = save(folder, step)
    os.utime(f"{path}.index", (1e9 + minutes * 60, 1e9 + minutes * 60))
    if minutes == 0:
        (folder / "checkpoint").unlink()  # it holds the true time of the first save
    checkpoints.keep_newest(str(folder), 2, every_n_hours=1.0)


def test_one_old_checkpoint_an_hour_stays_for_good(tmp_path):
    for step in range(16):  # every 20 minutes for five hours; 0 is the first of the run
        save_at(tmp_path, step, 20.0 * step)
    assert checkpoints.list_steps(str(tmp_path)) == [3, 6, 9, 12, 14, 15]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-15")


def test_hours_are_counted_anew_where_nobody_knows_what_stayed(tmp_path):
    for step in range(6):
        save_at(tmp_path, step, 20.0 * step)
    (tmp_path / "checkpoint").unlink()
    save_at(tmp_path, 6, 120.0)
    assert checkpoints.list_steps(str(tmp_path)) == [5, 6]


def test_clock_that_was_set_back_keeps_nothing_for_good(tmp_path):
    ahead = time.time() + 1e6
    for step in range(3):
        os.utime(f"{save(tmp_path, step)}.index", (ahead, ahead))
    with (tmp_path / "checkpoint").open("a") as file:
        file.write(f"last_preserved_timestamp: {ahead}\n")
    for step in range(3, 8):
        save(tmp_path, step)
        checkpoints.keep_newest(str(tmp_path), 2, every_n_hours=1.0)
    assert checkpoints.list_steps(str(tmp_path)) == [6, 7]


@pytest.mark.parametrize("ending", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("reading", [checkpoints.read, checkpoints.read_header])
def test_pipe_in_place_of_a_checkpoint_is_bad_input(tmp_path, ending, reading):
    path = save(tmp_path, 1)
    os.remove(path + ending)
    os.mkfifo(path + ending)
    with pytest.raises(InputError, match=r"cannot be read .*not a regular file"):
        reading(path)


@pytest.mark.parametrize("text", [b"\xff", 3.0])
def test_header_whose_description_is_no_text_is_bad_input(tmp_path, text):
    path = checkpoints.save(str(tmp_path), 1, {"description": tf.constant(text)})
    with pytest.raises(InputError, match="text in the checkpoint cannot be read"):
        checkpoints.read_header(path)


def test_copy_is_alone_in_its_folder(tmp_path):
    for step, value in ((3, 1.0), (9, 2.0)):
        checkpoints.replace_best(str(tmp_path / "best"), step, {"w": tf.constant(value)})
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["checkpoint", "ckpt-9.data-00000-of-00001", "ckpt-9.index"]
    assert checkpoints.newest(str(tmp_path / "best")).tensors["w"] == 2.0
    checkpoints.replace_best(str(tmp_path / "best"), 3, {"w": tf.zeros(3)})
    assert checkpoints.list_steps(str(tmp_path / "best")) == [3]


@pytest.mark.faults
def test_best_that_cannot_be_written_is_refused_and_keeps_what_was_there(tmp_path):
    best = str(tmp_path / "best")
    checkpoints.replace_best(best, 3, {"w": tf.zeros(3)})
    said = pytest.raises(InputError, match="ckpt-8 could not be written")
    with said, file_size_limit(500):
        checkpoints.replace_best(best, 8, {"w": tf.zeros(3000)})
    assert checkpoints.list_steps(best) == [3]
