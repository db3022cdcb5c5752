"""Exit codes and messages of the scripts' common main, in processes of their own."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from runtime.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = """
import dataclasses, sys, threading, time
sys.path.insert(0, {root!r})
from runtime import cli
from runtime.errors import EXIT_STOPPED_EARLY, InputError
from runtime.settings import define_flags, from_flags, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    act: str = setting("", "What to do.")
    steps: int = setting(3, "How often.")
    kind: str = setting("linear", "One of two.", choices=("linear", "constant"))
    boundaries: tuple[int, ...] = setting((), "Where.")


def main():
    settings = from_flags(Settings)
    print("began with", settings.steps, settings.boundaries)
    if settings.act.startswith("thread"):
        threading.Thread(target=time.sleep, args=(300,)).start()
    if settings.act in ("refuse", "thread refuse"):
        raise InputError("--act=refuse is no good:\\n  leave\\tit out.")
    if settings.act == "break":
        raise ValueError("a defect")
    if settings.act == "interrupt":
        raise KeyboardInterrupt
    return {{"early": EXIT_STOPPED_EARLY, "zero": 0}}.get(settings.act)


if __name__ == "__main__":
    define_flags(Settings)
    cli.run(main, usage="Does things.\\n\\n  do_things.py --steps=4")
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("cli") / "do_things.py"
    path.write_text(SCRIPT.format(root=str(ROOT)))
    return path


def run(script: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess:
    # Without what conftest.py says to TensorFlow.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize(("act", "code"), [("", 0), ("zero", 0), ("early", 75)])
def test_exit_code_is_what_main_returns(script, act, code):
    done = run(script, f"--act={act}", "--steps=5", "--boundaries=1,2")
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == "began with 5 (1, 2)\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--step_count=3"], "Unknown command line flag 'step_count'. Run with --help"),
        (["--steps=many"], "flag --steps=many: invalid literal for int()"),
        (["--steps=1.5"], "flag --steps=1.5: invalid literal for int()"),
        (["--steps"], "Missing value for flag --steps"),
        (["--kind=cubic"], "flag --kind=cubic: value should be one of <linear|constant>"),
        (["--flagfile=absent.flags"], "Unable to open flagfile"),
        (["images"], "Unexpected argument 'images': every option is a --flag=value."),
        (["--steps=3", "--", "-x"], "Unexpected argument '-x'"),
        (["--boundaries=1,x"], "--boundaries=1,x: give numbers with commas between them."),
        (["--act=refuse"], "--act=refuse is no good: leave it out."),
    ],
)
def test_bad_usage_and_bad_input_end_with_2_and_one_line(script, arguments, sentence):
    done = run(script, *arguments)
    assert done.returncode == EXIT_BAD_INPUT == 2
    assert done.stderr.startswith("do_things.py: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_misspelt_flag_is_told_apart_before_anything_runs(script):
    done = run(script, "--stepss=3")
    assert done.returncode == 2
    assert "steps" in done.stderr.split("Did you mean", 1)[-1]
    assert done.stdout == ""


def test_defect_ends_with_1_and_its_traceback(script):
    done = run(script, "--act=break")
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: a defect")


def test_interrupt_ends_with_130_and_no_traceback(script):
    done = run(script, "--act=interrupt")
    assert (done.returncode, done.stderr) == (EXIT_INTERRUPTED, "")
    assert EXIT_INTERRUPTED == 128 + signal.SIGINT


@pytest.mark.parametrize(("act", "code"), [("thread", 0), ("thread refuse", 2)])
def test_process_ends_without_waiting_for_threads_and_loses_no_output(script, act, code):
    done = subprocess.run(
        [sys.executable, script, f"--act={act}"], capture_output=True, text=True, timeout=200
    )
    assert (done.returncode, done.stdout) == (code, "began with 3 ()\n")
    assert ("leave it out" in done.stderr) == (code == 2)


@pytest.mark.parametrize("flag", ["-h", "--help", "-?", "--helpshort", "--helpfull"])
def test_help_shows_usage_and_flags_and_ends_with_0(script, flag):
    done = run(script, flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Does things.\n\n  do_things.py --steps=4\n")
    assert "  --steps\n      How often. [3]\n" in done.stdout
    assert "  --kind\n      One of two. One of linear, constant. [linear]\n" in done.stdout
    assert "  --act\n" in done.stdout
    assert "began" not in done.stdout


SCRIPTS = sorted(path.name for path in ROOT.glob("*.py") if path.name != "tf_utils.py")


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize(
    ("flag", "code", "said"),
    [("--no_such_flag=1", 2, "no_such_flag"), ("--helpfull", 0, "  --")],
)
def test_scripts_answer_before_tensorflow_is_imported(name, flag, code, said):
    """Here its import fails."""
    source = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules["tensorflow"] = None
sys.argv = [{name!r}, {flag!r}]
runpy.run_path({str(ROOT / name)!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_value_out_of_its_bounds_is_refused_before_tensorflow_is_imported():
    source = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT)!r})
sys.modules["tensorflow"] = None
sys.argv = ["train_ssd_network.py", "--batch_size=0"]
runpy.run_path({str(ROOT / "train_ssd_network.py")!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    said = "train_ssd_network.py: --batch_size=0 must be 1 or more.\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_flagfile_is_read_with_its_comments(script, tmp_path):
    path = tmp_path / "run.flags"
    path.write_text("# A recipe: 4 steps.\n--steps=4\n\n--boundaries=7,8\n")
    done = run(script, f"--flagfile={path}")
    assert (done.returncode, done.stdout) == (0, "began with 4 (7, 8)\n")


def test_tensorflow_starts_without_a_word_and_stderr_comes_back(tmp_path):
    path = tmp_path / "quiet.py"
    path.write_text(
        f"import os, sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from runtime import cli\ncli.quiet_tensorflow()\n"
        "import tensorflow as tf\nprint(int(tf.constant(1) + 1))\n"
        "print('heard', file=sys.stderr, flush=True)\nos.write(2, b'too')\n"
    )
    done = run(path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "heard\ntoo")


def start_with(tensorflow: str, folder) -> subprocess.CompletedProcess:
    """A script that begins as all do, where TensorFlow is this module."""
    (folder / "tensorflow.py").write_text(tensorflow)
    path = folder / "script.py"
    path.write_text(
        f"import sys\nsys.path.append({str(ROOT)!r})\n"
        "from runtime import cli\ncli.quiet_tensorflow()\n"
    )
    return run(path)


def test_interrupted_import_of_tensorflow_ends_without_a_traceback(tmp_path):
    interrupted = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    done = start_with(interrupted, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_tensorflow_that_cannot_be_imported_says_why(tmp_path):
    done = start_with("import os\nos.write(2, b'chatter')\nimport absent_library\n", tmp_path)
    assert done.returncode == 1
    assert "No module named 'absent_library'" in done.stderr
    assert "chatter" not in done.stderr
