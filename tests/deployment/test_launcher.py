"""The launcher with small programs as workers: order of ends, restarts, signals, the merged log."""

import contextlib
import io
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from deployment.launcher import Launcher, free_ports, verdict

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A process: appends its place to a file, then does what its argument of that number says. Numbers
# run through the jobs in their order: of an asynchronous training 0 is the chief.
WORKER = """
import json, os, signal, sys, time
folder, *acts = sys.argv[1:]
config = json.loads(os.environ["TF_CONFIG"])
places = [(job, i) for job, hosts in config["cluster"].items() for i in range(len(hosts))]
index = places.index((config["task"]["type"], config["task"]["index"]))
name = os.path.join(folder, f"starts-{index}")
open(name, "a").write(json.dumps(config) + "\\n")
attempt = len(open(name).readlines())
print(f"worker {index} starts", flush=True)
act = acts[index].split(",")[min(attempt, len(acts[index].split(","))) - 1]
if act == "killed": os.kill(os.getpid(), signal.SIGKILL)
if act == "stuck": time.sleep(100)
if act == "tell": act = "0"; print("on a terminal:", sys.stderr.isatty(), flush=True)
while act == "until worker 0 came back":
    other = os.path.join(folder, "starts-1")
    if os.path.exists(other) and len(open(other).readlines()) == 2: sys.exit(0)
    time.sleep(0.05)
if act == "deaf":
    signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
    print("ready", flush=True)
    while True: time.sleep(100)
if act == "asked":
    def save(*_):
        time.sleep(0.3)
        open(name + "-saved", "w").close()
        sys.exit(75)
    signal.signal(signal.SIGTERM, save)
    print("ready", flush=True)
    time.sleep(100)
sys.exit(int(act))
"""


def command(folder: pathlib.Path, *acts: str, options: tuple[str, ...] = ()) -> list[str]:
    (folder / "worker.py").write_text(WORKER)
    launcher = [sys.executable, "-m", "deployment.launcher", f"--workers={len(acts)}", *options]
    return [*launcher, "--", str(folder / "worker.py"), str(folder), *acts]


def launch(folder: pathlib.Path, *acts: str, options: tuple[str, ...] = ()):
    return subprocess.run(
        command(folder, *acts, options=options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def wait_until_both_said(word: str, process: subprocess.Popen) -> None:
    said = 0
    while said < 2:
        line = process.stderr.readline()
        assert line, "the launcher ended"
        said += word in line


def starts(folder: pathlib.Path, index: int) -> list[dict]:
    lines = (folder / f"starts-{index}").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_workers_know_each_other_and_the_log_is_merged(tmp_path):
    done = launch(tmp_path, "0", "0", "0")
    assert done.returncode == 0
    clusters = [starts(tmp_path, i)[0]["cluster"]["worker"] for i in range(3)]
    assert clusters[0] == clusters[1] == clusters[2]
    assert len(set(clusters[0])) == 3
    assert {f"[{i}] worker {i} starts" for i in range(3)} <= set(done.stderr.splitlines())
    ids = re.findall(r"^launcher: worker \d is process (\d+)\.$", done.stderr, re.MULTILINE)
    assert len(set(ids)) == 3


def test_chief_has_the_terminal_and_the_others_lines_go_around_its_bar(tmp_path):
    here, there = pty.openpty()
    ours = subprocess.Popen(
        command(tmp_path, "tell", "tell"), cwd=ROOT, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    shown = b""
    with contextlib.suppress(OSError):  # which is how the end of a terminal reads
        while data := os.read(here, 4096):
            shown += data
    os.close(here)
    assert ours.wait(timeout=60) == 0
    assert b"[0]" not in shown
    for said in (b"worker 0 starts", b"on a terminal: True"):
        assert said in shown
    for said in (b"worker 1 starts", b"on a terminal: False"):
        assert b"\r\x1b[K[1] " + said + b"\r\n" in shown


@pytest.mark.parametrize("end", ["75", "killed"])
def test_all_start_again_after_one_ended_early(tmp_path, end):
    done = launch(tmp_path, "75,0", f"{end},0")
    assert done.returncode == 0
    assert [len(starts(tmp_path, i)) for i in range(2)] == [2, 2]
    assert "starting again (1/10)" in done.stderr


def test_restarts_have_a_limit(tmp_path):
    done = launch(tmp_path, "75", "75", options=("--max_restarts=2",))
    assert done.returncode == 75
    assert len(starts(tmp_path, 0)) == 3
    assert "giving up" in done.stderr


@pytest.mark.parametrize("code", [1, 2])
def test_code_that_a_restart_would_not_change_stops_all(tmp_path, code):
    done = launch(tmp_path, "stuck", str(code))
    assert done.returncode == code
    assert len(starts(tmp_path, 0)) == 1


def test_worker_that_outlives_the_others_too_long_is_killed(tmp_path):
    done = launch(tmp_path, "75,0", "stuck,0", options=("--grace_secs=1",))
    assert done.returncode == 0
    assert "75, -9" in done.stderr


@pytest.mark.usefixtures("hangup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_reaches_the_workers_and_ends_the_run(tmp_path, number):
    process = subprocess.Popen(
        command(tmp_path, "asked", "asked"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    wait_until_both_said("ready", process)
    process.send_signal(number)
    if number == signal.SIGHUP:  # which the shell and the kernel send
        time.sleep(0.05)
        process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 75
    assert len(starts(tmp_path, 0)) == 1
    assert len(list(tmp_path.glob("*-saved"))) == 2


def test_second_signal_kills_workers_that_do_not_listen(tmp_path):
    process = subprocess.Popen(
        command(tmp_path, "deaf", "deaf"), cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for word in ("ready", "heard"):
        wait_until_both_said(word, process)
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 75


class SignalAtStart(io.StringIO):
    """A log whose program gets a signal while it starts its first worker, and asks what it is."""

    def __init__(self):
        super().__init__()
        self.launcher: Launcher | None = None

    def isatty(self) -> bool:
        if self.launcher:
            self.launcher.stop(signal.SIGTERM, None)
            self.launcher = None
        return False


def test_signal_while_workers_are_started_reaches_all_of_them():
    log = SignalAtStart()
    log.launcher = launcher = Launcher(
        [sys.executable, "-c", "import time; time.sleep(20)"],
        workers=2,
        max_restarts=1,
        grace_secs=60,
        environment={},
        stream=log,
    )
    begun = time.monotonic()
    assert launcher.run() == 75
    assert time.monotonic() - begun < 10
    assert "starting again" not in log.getvalue()


@pytest.mark.parametrize("options", [(), ("--max_restarts=-1",), ("--workers=0",)])
def test_bad_options_exit_2(tmp_path, options):
    arguments = [sys.executable, "-m", "deployment.launcher", *options]
    assert subprocess.run(arguments, cwd=ROOT, capture_output=True, timeout=60).returncode == 2


def launch_asynchronous(folder: pathlib.Path, *acts: str, options: tuple[str, ...] = ()):
    """A chief, two workers and a parameter server."""
    return launch(folder, *acts, options=("--workers=2", "--ps=1", "--grace_secs=1", *options))


def test_command_without_dashes_before_it_says_so(tmp_path):
    command = [sys.executable, "-m", "deployment.launcher", "--workers=2"]
    done = subprocess.run(
        [*command, "train.py", "--flagfile=a"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert (
        "write -- before the command, such as --workers=2 -- train.py --flagfile=a" in done.stderr
    )


def test_lost_worker_of_an_asynchronous_training_is_started_again_alone(tmp_path):
    done = launch_asynchronous(
        tmp_path, "until worker 0 came back", "killed,stuck", "stuck", "stuck"
    )
    assert done.returncode == 0, done.stderr
    assert [len(starts(tmp_path, i)) for i in range(4)] == [1, 2, 1, 1]
    first, second = starts(tmp_path, 1)
    assert first == second  # its address, too
    assert {job: len(hosts) for job, hosts in first["cluster"].items()} == {
        "chief": 1, "worker": 2, "ps": 1
    }  # fmt: skip
    lines = done.stderr.splitlines()
    assert "launcher: worker 0 ended with -9; starting again (1/10)." in lines
    assert {"[chief 0] worker 0 starts", "[ps 0] worker 3 starts"} <= set(lines)


@pytest.mark.parametrize("acts", [("75,0", "stuck", "stuck", "stuck"),
                                  ("stuck,0", "stuck", "stuck", "killed,stuck")],
                         ids=["chief", "server"])  # fmt: skip
def test_all_start_again_after_the_chief_or_a_server_ended(tmp_path, acts):
    done = launch_asynchronous(tmp_path, *acts)
    assert done.returncode == 0, done.stderr
    assert len(starts(tmp_path, 0)) == 2
    assert "starting again (1/10)" in done.stderr


def test_refusal_of_an_asynchronous_worker_ends_all(tmp_path):
    assert launch_asynchronous(tmp_path, "stuck", "2", "stuck", "stuck").returncode == 2


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([0, 0], 0), ([75, 0], 75), ([-9, 75], 75), ([75, 2], 2), ([1, -15], 1), ([0, -6], 75)],
)
def test_verdict(codes, expected):
    assert verdict(codes) == expected


def test_free_ports_are_distinct():
    assert len(set(free_ports(20))) == 20
