"""Flags and environment to a layout, and what is refused."""

import dataclasses
import json

import pytest

from deployment import model_deploy
from deployment.model_deploy import DeploymentConfig
from runtime.errors import InputError

HOSTS = ("a:1", "b:1")


def configure(environment=None, **flags) -> DeploymentConfig:
    absent = {
        "num_clones": 1,
        "clone_on_cpu": False,
        "num_replicas": None,
        "task": None,
        "worker_hosts": (),
        "num_ps_tasks": None,
        "ps_hosts": (),
        "job_name": None,
        "worker_job_name": "worker",
        "ps_job_name": "ps",
    }
    return model_deploy.configure(**{**absent, **flags}, environment=environment or {})


def tf_config(index: int) -> dict[str, str]:
    config = {"cluster": {"worker": HOSTS}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


def asynchronous(kind: str, index: int, *, worker="worker", ps="ps") -> dict[str, str]:
    cluster = {"chief": ["c:1"], worker: ["a:1", "b:1"], ps: ["p:1"]}
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


def test_default_is_one_worker_that_is_the_chief():
    config = configure()
    assert (config.num_replicas, config.replica_id, config.worker_hosts) == (1, 0, ())
    assert config.is_chief


def test_worker_hosts_alone_say_how_many_there_are():
    config = configure(worker_hosts=HOSTS, task=1)
    assert (config.num_replicas, config.replica_id) == (2, 1)
    assert not config.is_chief


def test_layout_is_made_by_hand_in_slims_order():
    config = DeploymentConfig(2, True, 1, 3, 0, "learner", "store", worker_hosts=(*HOSTS, "c:1"))
    assert (config.num_clones, config.clone_on_cpu, config.is_chief) == (2, True, False)
    assert (config.num_in_step, config.worker_job_name, config.ps_job_name) == (
        3, "learner", "store"
    )  # fmt: skip


def test_layout_is_made_by_hand_with_names_for_the_jobs():
    layout = {
        "num_clones": 1,
        "clone_on_cpu": False,
        "replica_id": 0,
        "num_replicas": 2,
        "num_ps_tasks": 1,
        "worker_job_name": "learner",
        "ps_job_name": "store",
        "worker_hosts": HOSTS,
        "ps_hosts": ("p:1",),
    }
    assert DeploymentConfig(**layout).is_chief
    assert DeploymentConfig(**layout, job="learner").is_chief
    store = DeploymentConfig(**layout, job="store")
    assert (store.is_ps, store.is_chief, store.is_server) == (True, False, True)
    with pytest.raises(InputError, match="--job_name=worker must be learner or store"):
        DeploymentConfig(**layout, job="worker")


def test_place_is_found_in_tf_config():
    config = configure(tf_config(1))
    assert (config.num_replicas, config.replica_id, config.worker_hosts) == (2, 1, HOSTS)


def test_list_of_one_worker_needs_no_cluster():
    assert configure(worker_hosts=HOSTS[:1]) == DeploymentConfig()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"num_clones": 0}, "--num_clones=0 must be 1 or more"),
        ({"num_replicas": 0}, "--num_replicas=0 must be 1 or more"),
        ({"num_replicas": 2}, "needs the workers' addresses"),
        ({"num_replicas": 3, "worker_hosts": HOSTS}, "differs from the 2 addresses"),
        ({"task": 2, "worker_hosts": HOSTS}, "--task=2 must lie in 0...1"),
        ({"task": 1}, "--task=1 must lie in 0...0"),
        ({"worker_hosts": ("a:1", "b")}, "'b' must have the form host:port"),
        ({"worker_hosts": ("a:1", "a:1")}, "names an address twice"),
    ],
)
def test_flags_that_make_no_cluster_are_refused(flags, said):
    with pytest.raises(InputError, match=said):
        configure(**flags)


@pytest.mark.parametrize("flags", [{"task": 0}, {"num_replicas": 3}, {"worker_hosts": ("a:1",)}])
def test_flags_that_contradict_the_environment_are_refused(flags):
    with pytest.raises(InputError, match=r"by the flags and .* by TF_CONFIG"):
        configure(tf_config(1), **flags)


def test_cpu_clones_beside_other_workers_are_refused():
    config = configure(worker_hosts=HOSTS, num_clones=2, clone_on_cpu=True)
    with pytest.raises(InputError, match="start more workers instead"):
        config.strategy(on_wait=id)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (("chief", 0), (False, 0, True, False)),
        (("worker", 1), (False, 2, False, True)),
        (("ps", 0), (True, 0, False, True)),
    ],
)
def test_chief_of_an_asynchronous_training_is_served_by_all_others(place, expected):
    config = configure(asynchronous(*place))
    assert (config.is_ps, config.replica_id, config.is_chief, config.is_server) == expected
    assert config.servers == {"worker": ("a:1", "b:1"), "ps": ("p:1",)}
    assert (config.num_replicas, config.num_ps_tasks, config.num_in_step) == (3, 1, 1)


def test_flags_alone_name_an_asynchronous_cluster():
    hosts = {"worker_hosts": ("c:1", "a:1", "b:1"), "ps_hosts": ("p:1",)}
    assert configure(**hosts, num_ps_tasks=1) == configure(asynchronous("chief", 0))
    assert configure(**hosts, task=2) == configure(asynchronous("worker", 1))
    assert configure(**hosts, job_name="ps") == configure(asynchronous("ps", 0))


@pytest.mark.parametrize(
    ("kind", "index", "usual", "job"),
    [("learner", 1, "worker", None), ("store", 0, "ps", "store")],
)
def test_jobs_may_have_other_names(kind, index, usual, job):
    names = {"worker_job_name": "learner", "ps_job_name": "store"}
    environment = asynchronous(kind, index, worker="learner", ps="store")
    config = configure(environment, **names)
    assert config == configure(environment, **names, job_name=kind)
    usually = configure(asynchronous(usual, index))
    assert config == dataclasses.replace(usually, **names, job=job)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"num_ps_tasks": 1}, "needs as many addresses and there are 0"),
        ({"ps_hosts": ("p:1",)}, "name the chief, which hands out the steps, and at least one"),
        ({"num_ps_tasks": 2, "ps_hosts": ("p:1",)}, "differs from the 1 addresses of --ps_hosts"),
        ({"job_name": "ps"}, "there are no parameter servers"),
        ({"job_name": "evaluator"}, "--job_name=evaluator must be worker or ps"),
        ({"ps_hosts": ("p:1",), "worker_hosts": HOSTS, "job_name": "ps", "task": 1}, r"in 0...0"),
        ({"ps_hosts": ("b:1",), "worker_hosts": HOSTS}, "names an address twice"),
        ({"ps_hosts": ("b",), "worker_hosts": HOSTS}, "'b' must have the form host:port"),
    ],
)
def test_flags_that_make_no_asynchronous_cluster_are_refused(flags, said):
    with pytest.raises(InputError, match=said):
        configure(**flags)


@pytest.mark.parametrize("flags", [{"num_ps_tasks": 2}, {"job_name": "ps"}, {"ps_hosts": ("q:1",)}])
def test_servers_that_contradict_the_environment_are_refused(flags):
    with pytest.raises(InputError, match=r"by the flags and .* by TF_CONFIG"):
        configure(asynchronous("chief", 0), **flags)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (configure(), ""),
        (configure(num_clones=2), ""),
        (configure(tf_config(0)), "; 2 workers"),
        (
            configure(asynchronous("chief", 0)),
            "; asynchronous, workers: 2, parameter servers: 1",
        ),
    ],
)
def test_summary_says_who_takes_part(config, said):
    assert config.summary == said
    assert config.has_peers == bool(said)
