"""slurm_train.sbatch, with small programs in place of SLURM: what it asks for, who is requeued."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "slurm_train.sbatch"
# Starts three tasks at once and returns the largest code; writes down srun's own options. It passes
# SIGTERM on, as srun does.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do echo "$1" >>options; shift; done
echo "${@:6}" >flags
for task in 0 1 2; do SLURM_PROCID=$task "$@" & tasks[task]=$!; done
trap 'pkill -TERM -P "$(echo "${tasks[@]}" | tr " " ,)"' TERM
largest=0
for task in 0 1 2; do
  wait "${tasks[task]}"; code=$?
  while kill -0 "${tasks[task]}" 2>/dev/null; do wait "${tasks[task]}"; code=$?; done
  ((code > largest)) && largest=$code
done
exit "$largest"
"""
SCONTROL = '#!/usr/bin/env bash\necho "$@" >requeued\n'
# A worker: ends as the argument of its number says.
PYTHON = """#!/usr/bin/env bash
shift "$((SLURM_PROCID + 1))"
case $1 in
  killed) kill -KILL $$ ;;
  asked) trap 'sleep 0.5; touch "saved-$SLURM_PROCID"; exit 75' TERM
    echo "$$ $PPID" >"ready-$SLURM_PROCID"
    for _ in {1..200}; do sleep 0.05; done ;;
  *) exit "$1" ;;
esac
"""


@pytest.fixture
def start(tmp_path):
    """Starts the job with an act for each of the three tasks, its SLURM a folder of stand-ins."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), (".venv/bin/python", PYTHON)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def begin(*acts: str, restarts: int = 0, **variables: str) -> subprocess.Popen:
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_JOB_ID": "17",
            "SLURM_RESTART_COUNT": str(restarts),
            "SLURM_CPUS_ON_NODE": "48",
            "SLURM_NTASKS_PER_NODE": "1",
            **variables,
        }
        with (tmp_path / "said").open("w") as said:
            return subprocess.Popen(["bash", SCRIPT, *acts], env=environment, stderr=said)

    return begin


@pytest.mark.parametrize(
    ("acts", "restarts", "code", "requeued"),
    [
        (("0", "0", "0"), 0, 0, False),
        (("75", "0", "75"), 0, 0, True),
        (("75", "killed", "75"), 0, 0, True),
        (("75", "75", "75"), 20, 75, False),
        (("75", "2", "75"), 0, 2, False),
        (("killed", "75", "1"), 0, 1, False),
        (("0", "killed", "75", "--num_ps_tasks=1"), 0, 0, False),
        (("0", "2", "75", "--num_ps_tasks=1"), 0, 0, False),
        (("75", "killed", "75", "--num_ps_tasks=1"), 0, 0, True),
        (("75", "2", "75", "--num_ps_tasks=1"), 0, 2, False),
        (("killed", "0", "75", "--num_ps_tasks=1"), 0, 0, True),
    ],
)
def test_job_is_queued_again_unless_a_code_forbids_it(
    start, tmp_path, acts, restarts, code, requeued
):
    assert start(*acts, restarts=restarts).wait(timeout=60) == code
    assert (tmp_path / "requeued").exists() is requeued
    assert not list(tmp_path.glob(".codes*"))


@pytest.mark.parametrize(
    ("flags", "variables", "asked"),
    [
        ((), {}, {"--wait=120", "--cpus-per-task=48"}),
        ((), {"SLURM_CPUS_PER_TASK": "8"}, {"--wait=120", "--cpus-per-task=8"}),
        ((), {"SLURM_NTASKS_PER_NODE": "3"}, {"--wait=120", "--cpus-per-task=16"}),
        (("--num_ps_tasks=1",), {}, {"--wait=0", "--cpus-per-task=48"}),
    ],
)
def test_tasks_have_the_nodes_cores_and_wait_for_each_other_where_they_keep_step(
    start, tmp_path, flags, variables, asked
):
    assert start("0", "0", "0", *flags, **variables).wait(timeout=60) == 0
    options = set((tmp_path / "options").read_text().split())
    assert options == {"--kill-on-bad-exit=0", "--label", *asked}


def test_job_has_whole_nodes():
    asked = set(re.findall(r"^#SBATCH (.*)$", SCRIPT.read_text(), re.MULTILINE))
    assert {"--exclusive", "--mem=0", "--ntasks-per-node=1", "--requeue"} <= asked


@pytest.mark.parametrize(("restarts", "added"), [(0, ""), (1, " --overwrite=False")])
def test_job_that_is_queued_again_starts_nothing_over(start, tmp_path, restarts, added):
    assert start("0", "0", "0", "--flagfile=a", restarts=restarts).wait(timeout=60) == 0
    assert (tmp_path / "flags").read_text() == f"train_ssd_network.py 0 0 0 --flagfile=a{added}\n"


@pytest.mark.parametrize("flag", ["--overwrite", "-overwrite=True"])
def test_flag_that_would_start_over_at_every_requeue_is_refused(start, tmp_path, flag):
    assert start("0", "0", "0", flag).wait(timeout=60) == 2
    assert (tmp_path / "said").read_text().startswith(f"{flag} would start over whenever")
    assert not (tmp_path / "options").exists()


def test_signal_to_the_batch_script_lets_the_workers_save(start, tmp_path):
    """As scancel --batch sends it."""
    job = start("asked", "asked", "asked")
    until_ready(tmp_path)
    job.send_signal(signal.SIGTERM)
    assert job.wait(timeout=60) == 0
    assert len(list(tmp_path.glob("saved-*"))) == 3
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
    assert not list(tmp_path.glob(".codes*"))


def test_folder_of_a_job_that_was_killed_is_removed(start, tmp_path):
    (tmp_path / ".codes-17-abcdef").mkdir()
    other = tmp_path / ".codes-170-abcdef"
    other.mkdir()
    assert start("0", "0", "0").wait(timeout=60) == 0
    assert list(tmp_path.glob(".codes*")) == [other]


def until_ready(folder: pathlib.Path) -> list[str]:
    """Numbers of the processes of the three tasks."""
    processes: list[str] = []
    while len(processes) < 6:
        time.sleep(0.05)
        processes = [each for path in folder.glob("ready-*") for each in path.read_text().split()]
    return processes


def test_signal_at_the_time_limit_lets_the_workers_save(start, tmp_path):
    """SLURM signals every process of the tasks, the shells around the workers among them."""
    job = start("asked", "asked", "asked")
    for number in until_ready(tmp_path):
        os.kill(int(number), signal.SIGTERM)
    assert job.wait(timeout=60) == 0
    assert len(list(tmp_path.glob("saved-*"))) == 3
    assert (tmp_path / "requeued").read_text() == "requeue 17\n"
