"""TF_CONFIG and SLURM's variables, given as mappings, and what happens when sources differ."""

import json

import pytest

from deployment import environment
from deployment.environment import ClusterMembership, expand_hostlist, merge, read
from runtime.errors import InputError


def tf_config(cluster: dict, kind: str = "worker", index: int = 0) -> dict[str, str]:
    task = {"type": kind, "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def slurm(**changes: str) -> dict[str, str]:
    return {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "n[01-02]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "SLURM_JOB_ID": "20007",
        **changes,
    }


def test_environment_without_a_cluster_tells_nothing():
    assert read({}) == []
    assert read({"TF_CONFIG": " ", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) == []


def test_tf_config_tells_workers_and_task():
    (place,) = read(tf_config({"worker": ["a:1", "b:2"]}, index=1))
    assert place == ClusterMembership("TF_CONFIG", 2, 1, ("a:1", "b:2"))


@pytest.mark.parametrize(("kind", "index", "task"), [("chief", 0, 0), ("worker", 1, 2)])
def test_tf_config_counts_the_chief_first(kind, index, task):
    (place,) = read(tf_config({"worker": ["b:1", "c:1"], "chief": ["a:1"]}, kind, index))
    assert (place.task, place.hosts) == (task, ("a:1", "b:1", "c:1"))


def test_tf_config_as_kubeflow_writes_it():
    text = (
        '{"cluster":{"worker":["ssd-worker-0.default.svc:2222","ssd-worker-1.default.svc:2222"]},'
        '"task":{"type":"worker","index":1},"environment":"cloud"}'
    )
    hosts = ("ssd-worker-0.default.svc:2222", "ssd-worker-1.default.svc:2222")
    assert read({"TF_CONFIG": text}) == [ClusterMembership("TF_CONFIG", 2, 1, hosts)]


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "[" * 100_000, '{"task": {"index": "x"}}', '{"cluster": 3}'),
        *(f'{{"task": {{"index": {value}}}}}' for value in ("1e999", "[1]", "null")),
        *(f'{{"cluster": {{"worker": {value}}}}}' for value in ('"a:1"', "[3]", '["a\\u0000:1"]')),
        '{"cluster": {"worker": {"a:1": 2}}}',
        json.dumps({"cluster": {"worker": ["a:1"] * 100_001}}),
    ],
    ids=lambda text: text[:50],
)
def test_malformed_tf_config_is_refused(text):
    with pytest.raises(InputError, match="is not a cluster") as caught:
        read({"TF_CONFIG": text})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["ps", "evaluator"])
def test_tf_config_of_another_kind_of_task_is_refused(kind):
    with pytest.raises(InputError, match=kind):
        read(tf_config({"worker": ["a:1"]}, kind))


@pytest.mark.parametrize(
    ("kind", "index", "job", "task"), [("worker", 1, "worker", 1), ("ps", 1, "ps", 1)]
)
def test_tf_config_tells_parameter_servers(kind, index, job, task):
    (place,) = read(tf_config({"worker": ["a:1", "b:1"], "ps": ["p:1", "q:1"]}, kind, index))
    assert (place.job, place.task, place.num_replicas) == (job, task, 2)
    assert (place.num_ps_tasks, place.ps_hosts) == (2, ("p:1", "q:1"))


@pytest.mark.parametrize(
    ("number", "job", "task"), [("0", "worker", 0), ("1", "worker", 1), ("2", "ps", 0)]
)
def test_last_tasks_of_a_slurm_step_are_the_parameter_servers(number, job, task):
    (place,) = read(slurm(SLURM_PROCID=number), num_ps_tasks=1)
    assert (place.job, place.task, place.num_replicas) == (job, task, 2)
    assert (place.hosts, place.ps_hosts) == (("n01:12007", "n01:12008"), ("n02:12007",))


def test_slurm_step_gives_every_task_of_a_node_a_port():
    (place,) = read(slurm())
    assert (place.num_replicas, place.task) == (3, 2)
    assert place.hosts == ("n01:12007", "n01:12008", "n02:12007")


# Node and number on it of each task, as SLURM 22.05 placed them; tests/cluster has a real one.
@pytest.mark.parametrize(
    ("counts", "said", "expected"),
    [
        ("2(x2),1", {}, "0.0 0.1 1.0 1.1 2.0"),
        ("2(x2),1", {"SLURM_DISTRIBUTION": "block:cyclic,nopack"}, "0.0 0.1 1.0 1.1 2.0"),
        ("2(x2),1", {"SLURM_DISTRIBUTION": "cyclic:block"}, "0.0 1.0 2.0 0.1 1.1"),
        (
            "3,2,1",
            {"SLURM_DISTRIBUTION": "plane", "SLURM_DIST_PLANESIZE": "2"},
            "0.0 0.1 1.0 1.1 2.0 0.2",
        ),
        ("3,2,1", {"SLURM_DISTRIBUTION": "plane=2"}, "0.0 0.1 1.0 1.1 2.0 0.2"),
    ],
)
def test_slurm_tasks_are_found_where_their_distribution_put_them(counts, said, expected):
    tasks = [place.split(".") for place in expected.split()]
    for number, (node, local) in enumerate(tasks):
        (place,) = read(
            slurm(
                SLURM_STEP_NUM_TASKS=str(len(tasks)),
                SLURM_STEP_NODELIST="n[0-2]",
                SLURM_STEP_TASKS_PER_NODE=counts,
                SLURM_PROCID=str(number),
                SLURM_NODEID=node,
                SLURM_LOCALID=local,
                SLURMD_NODENAME=f"n{node}",
                **said,
            )
        )
        assert place.hosts == tuple(f"n{node}:{12007 + int(local)}" for node, local in tasks)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SLURM_DISTRIBUTION": "arbitrary"}, "=arbitrary does not tell"),
        ({"SLURM_DISTRIBUTION": "plane"}, "=plane does not tell"),
        ({"SLURM_DISTRIBUTION": "cyclic", "SLURM_NODEID": "1"}, "SLURM_NODEID=1 of task 2"),
        ({"SLURM_LOCALID": "1"}, "SLURM_LOCALID=1 of task 2 is not the 0"),
        ({"SLURMD_NODENAME": "n01"}, "SLURMD_NODENAME=n01 of task 2 is not the n02"),
    ],
)
def test_slurm_task_that_is_not_where_it_was_reckoned_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        read(slurm(**change))


def test_slurm_step_of_one_task_is_no_cluster():
    assert read(slurm(SLURM_STEP_NUM_TASKS="1")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"SLURM_STEP_NODELIST": "n[01"}, "cannot be understood"),
        ({"SLURM_STEP_TASKS_PER_NODE": "two"}, "cannot be understood"),
        ({"SLURM_PROCID": ""}, "cannot be understood"),
        ({"SLURM_STEP_NUM_TASKS": "three"}, "cannot be understood"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1,1"}, "names places for 2"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x2000000000)"}, "cannot be understood"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x900000000)"}, "names places for 4 on 2 nodes"),
        ({"SLURM_STEP_NODELIST": "n[1-2000000000]"}, "names places for 3 on 4 nodes"),
        ({"SLURM_STEP_NUM_TASKS": "2000000000"}, "cannot be understood"),
        ({"SLURM_PROCID": "3"}, "must be less than SLURM_STEP_NUM_TASKS=3"),
    ],
)
def test_slurm_variables_that_make_no_sense_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        read(slurm(**change))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a,b-1", ["a", "b-1"]),
        ("a[08-10,3],b", ["a08", "a09", "a10", "a3", "b"]),
        ("r1n[1-2]-ib", ["r1n1-ib", "r1n2-ib"]),
    ],
)
def test_hostlist_is_expanded(text, expected):
    assert list(expand_hostlist(text)) == expected


def test_sources_complete_each_other():
    flags = ClusterMembership("the flags", task=1)
    merged = merge([flags, ClusterMembership("TF_CONFIG", 2, 1, ("a:1", "b:1"))])
    assert merged[1:4] == (2, 1, ("a:1", "b:1"))


def test_given_ports_beat_those_that_were_reckoned():
    slurms = ClusterMembership("SLURM", 2, 0, ("a:12000", "b:12000"), hosts_are_given=False)
    merged = merge([slurms, ClusterMembership("TF_CONFIG", 2, 0, ("a:1", "b:1"))])
    assert merged.hosts == ("a:1", "b:1")


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"num_replicas": 3}, "number of workers is 2 by the flags and 3"),
        ({"task": 1}, "task is 0 by the flags and 1 by TF_CONFIG"),
        ({"hosts": ("a:1", "c:1")}, "list of workers is a:1,b:1 by the flags"),
    ],
)
def test_contradiction_names_both_sources(told, what):
    flags = ClusterMembership("the flags", 2, 0, ("a:1", "b:1"))
    with pytest.raises(InputError, match=what):
        merge([flags, ClusterMembership("TF_CONFIG", **told)])


def test_own_environment_is_not_read(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    assert environment.read({}) == []
