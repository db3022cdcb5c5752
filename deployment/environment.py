"""What a cluster's environment says of this worker: TF_CONFIG, and the variables of a SLURM step.

Reads a mapping that it is given, never the process's own environment.

Surprising: only the variables that srun sets for each task of a step count. A batch script's own
(SLURM_NTASKS, SLURM_PROCID=0) do not mean that other workers were started. SLURM hands out no
ports, so they are reckoned from the job's number. Nor does it list the tasks' nodes: their order
follows from SLURM_DISTRIBUTION, and what SLURM says of this one task has to agree.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple

from runtime import limits
from runtime.errors import InputError, one_line

WORKER, PS = "worker", "ps"
_SHOWN = 300  # letters of what was given
_FIRST_PORT, _PORTS = 12000, 20000
_REPEATED = re.compile(r"(\d{1,9})(?:\(x(\d{1,9})\))?")


class ClusterMembership(NamedTuple):
    """A worker among workers, as one source tells it; what it does not tell is None or empty.

    Attributes:
      source: who says so, for error messages.
      num_replicas: workers.
      task: number of this worker.
      hosts: `host:port` of every worker.
      hosts_are_given: False where the ports are our own choice, which any other source overrides.
      job: WORKER or PS; the task is a number within it.
      num_ps_tasks: parameter servers.
      ps_hosts: `host:port` of every parameter server.
    """

    source: str
    num_replicas: int | None = None
    task: int | None = None
    hosts: tuple[str, ...] = ()
    hosts_are_given: bool = True
    job: str | None = None
    num_ps_tasks: int | None = None
    ps_hosts: tuple[str, ...] = ()


class JobNames(NamedTuple):
    """What whoever starts the processes calls workers and parameter servers."""

    worker: str = WORKER
    ps: str = PS


USUAL_NAMES = JobNames()


def read(
    environment: Mapping[str, str],
    *,
    names: JobNames = USUAL_NAMES,
    num_ps_tasks: int | None = None,
) -> list[ClusterMembership]:
    """The places that an environment tells: none, one, or both of TF_CONFIG's and SLURM's.

    Args:
      environment: such as `os.environ`.
      names: of the jobs in TF_CONFIG.
      num_ps_tasks: how many of a SLURM step's tasks, the last ones, are parameter servers.

    Raises:
      InputError: TF_CONFIG or a variable of SLURM is malformed.
    """
    places = []
    if environment.get("TF_CONFIG", "").strip():
        places.append(_from_tf_config(environment["TF_CONFIG"], names))
    if (environment.get("SLURM_STEP_NUM_TASKS") or "1") != "1":
        places.append(_from_slurm(environment, num_ps_tasks or 0))
    return places


def merge(places: Sequence[ClusterMembership]) -> ClusterMembership:
    """What all sources say together.

    Raises:
      InputError: two of them differ; the sentence names both.
    """
    named = [place for place in places if place.hosts or place.ps_hosts]
    given = [place for place in named if place.hosts_are_given]
    chosen = [place for place in named if not place.hosts_are_given]
    return ClusterMembership(
        "all",
        _agreed("number of workers", [(p.source, p.num_replicas) for p in places]),
        _agreed("task", [(p.source, p.task) for p in places]),
        _agreed("list of workers", [(p.source, p.hosts) for p in given or chosen]) or (),
        job=_agreed("job", [(p.source, p.job) for p in places]),
        num_ps_tasks=_agreed(
            "number of parameter servers", [(p.source, p.num_ps_tasks) for p in places]
        ),
        ps_hosts=_agreed(
            "list of parameter servers", [(p.source, p.ps_hosts) for p in given or chosen]
        )
        or (),
    )


def _agreed(what: str, said: Sequence[tuple[str, Any]]) -> Any:
    said = [(source, value) for source, value in said if value is not None and value != ()]
    for source, value in said[1:]:
        if value != said[0][1]:
            raise InputError(
                f"The {what} is {_text(said[0][1])} by {said[0][0]} and {_text(value)} by "
                f"{source}: leave one of the two out, or make them agree."
            )
    return said[0][1] if said else None


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _from_tf_config(text: str, names: JobNames) -> ClusterMembership:
    """{"cluster": {"chief": [...], "worker": [...]}, "task": {"type": "worker", "index": 0}}."""
    try:
        config = json.loads(text)
        cluster, task = config.get("cluster", {}), config.get("task", {})
        chief, workers, servers = (
            _hosts(cluster.get(job, [])) for job in ("chief", names.worker, names.ps)
        )
        kind, index = task.get("type", names.worker), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"TF_CONFIG={text[:_SHOWN]} is not a cluster ({one_line(error)}): it must look like "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    if kind not in ("chief", *names) or (kind == names.ps and not servers):
        raise InputError(
            f"TF_CONFIG gives this process the task {kind!r} of {', '.join(cluster)}: a training "
            f"knows chief, {names.worker} and {names.ps} (--worker_job_name, --ps_job_name)."
        )
    if not workers + chief:
        return ClusterMembership("TF_CONFIG")
    place = ClusterMembership(
        "TF_CONFIG",
        len(chief + workers),
        index + (len(chief) if kind == names.worker else 0),
        chief + workers,
    )
    if not servers:
        return place
    job = PS if kind == names.ps else WORKER
    return place._replace(job=job, num_ps_tasks=len(servers), ps_hosts=servers)


def _hosts(values: object) -> tuple[str, ...]:
    """Addresses in TF_CONFIG. Raises ValueError where they are none."""
    if not isinstance(values, list) or len(values) > limits.MAX_HOSTS:
        raise ValueError(f"a job is not a list of at most {limits.MAX_HOSTS} addresses")
    for value in values:
        if not isinstance(value, str) or not value.isprintable():
            raise ValueError(f"{str(value)[:_SHOWN]!r} is no address")
    return tuple(values)


def _from_slurm(environment: Mapping[str, str], num_ps_tasks: int) -> ClusterMembership:
    try:
        total = _whole_number(environment["SLURM_STEP_NUM_TASKS"])
        number = _whole_number(environment["SLURM_PROCID"])
        # One more than there can be: that is wrong as well, and found without going through all.
        nodes = list(islice(expand_hostlist(environment["SLURM_STEP_NODELIST"]), total + 1))
        counts = list(islice(_expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"]), total + 1))
        first_port = _FIRST_PORT + int(environment.get("SLURM_JOB_ID", "0")) % _PORTS
    except (KeyError, ValueError) as error:
        raise InputError(
            f"SLURM's variables of this step cannot be understood ({error!r}): give "
            "--worker_hosts, or TF_CONFIG."
        ) from error
    if len(nodes) != len(counts) or sum(counts) != total:
        raise InputError(
            f"SLURM starts {total} tasks and names places for {sum(counts)} on {len(nodes)} nodes "
            f"({environment['SLURM_STEP_NODELIST']}): give --worker_hosts, or TF_CONFIG."
        )
    places = list(_distribute(counts, _turn(environment)))
    _check_own_place(environment, number, places, nodes)
    hosts = tuple(f"{nodes[node]}:{first_port + local}" for node, local in places)
    if not num_ps_tasks:
        return ClusterMembership("SLURM", total, number, hosts, hosts_are_given=False)
    workers = total - num_ps_tasks
    return ClusterMembership(
        "SLURM",
        workers,
        number if number < workers else number - workers,
        hosts[:workers],
        hosts_are_given=False,
        job=WORKER if number < workers else PS,
        num_ps_tasks=num_ps_tasks,
        ps_hosts=hosts[workers:],
    )


def _whole_number(text: str) -> int:
    """The number of a task, or of tasks.

    Raises:
      ValueError: it is none, or more than a cluster can have.
    """
    if not 0 <= (number := int(text)) <= limits.MAX_HOSTS:
        raise ValueError(f"{number} is not in 0...{limits.MAX_HOSTS}")
    return number


def _turn(environment: Mapping[str, str]) -> int:
    """How many tasks SLURM puts on a node before it goes to the next: `srun --distribution`.

    Raises:
      InputError: the order cannot be told from the variables, as that of SLURM_HOSTFILE.
    """
    said = environment.get("SLURM_DISTRIBUTION", "")
    kind, _, size = re.split("[:,]", said)[0].partition("=")
    if kind == "plane":
        size = size or environment.get("SLURM_DIST_PLANESIZE", "")
    turns = {"": limits.MAX_HOSTS, "*": limits.MAX_HOSTS, "block": limits.MAX_HOSTS, "cyclic": 1}
    if kind not in turns and not (kind == "plane" and re.fullmatch(r"0*[1-9]\d{0,8}", size)):
        raise InputError(
            f"SLURM_DISTRIBUTION={said} does not tell which task is on which node: pass srun "
            "--distribution=block or cyclic, or give --worker_hosts."
        )
    return turns.get(kind) or int(size)


def _distribute(counts: Sequence[int], turn: int) -> Iterator[tuple[int, int]]:
    """(node, number on this node) of every task, in the tasks' order.

    Args:
      counts: tasks of each node.
      turn: how many of them a node takes before the next one does.
    """
    taken = [0] * len(counts)
    while taken != list(counts):
        for node, count in enumerate(counts):
            first, taken[node] = taken[node], min(count, taken[node] + turn)
            yield from ((node, local) for local in range(first, taken[node]))


def _check_own_place(
    environment: Mapping[str, str],
    number: int,
    places: Sequence[tuple[int, int]],
    nodes: Sequence[str],
) -> None:
    """What SLURM says of this very task must agree with what was reckoned of all tasks."""
    if number >= len(places):
        raise InputError(
            f"SLURM_PROCID={number} must be less than SLURM_STEP_NUM_TASKS={len(places)}: give "
            "--worker_hosts, or TF_CONFIG."
        )
    node, local = places[number]
    reckoned = {
        "SLURM_NODEID": str(node),
        "SLURM_LOCALID": str(local),
        "SLURMD_NODENAME": nodes[node],
    }
    for name, expected in reckoned.items():
        if (said := environment.get(name, expected)) != expected:
            raise InputError(
                f"{name}={said} of task {number} is not the {expected} that "
                f"SLURM_DISTRIBUTION={environment.get('SLURM_DISTRIBUTION', '')} gives, so that "
                "the workers' addresses are unknown: pass srun --distribution=block or cyclic, or "
                "give --worker_hosts."
            )


def expand_hostlist(text: str) -> Iterator[str]:
    """SLURM's short form: `a[01-03,7],b` -> a01, a02, a03, a7, b.

    Raises:
      ValueError: a bracket stays open, or a range is none.
    """
    if text.count("[") != text.count("]"):
        raise ValueError(f"node list {text!r}")
    for part in re.findall(r"(?:[^,\[]|\[[^\]]*\])+", text):
        match = re.fullmatch(r"([^\[\]]*)(?:\[([\d,-]+)\])?([^\[\]]*)", part)
        if not match:
            raise ValueError(f"node list {text!r}")
        prefix, ranges, suffix = match.groups()
        if ranges is None:
            yield part
            continue
        for each in ranges.split(","):
            low, _, high = each.partition("-")
            for number in range(int(low), int(high or low) + 1):
                yield f"{prefix}{number:0{len(low)}d}{suffix}"


def _expand_counts(text: str) -> Iterator[int]:
    """`2(x3),1` -> 2, 2, 2, 1."""
    for part in text.split(","):
        match = _REPEATED.fullmatch(part)
        if not match:
            raise ValueError(f"tasks per node {text!r}")
        yield from repeat(int(match.group(1)), int(match.group(2) or 1))
