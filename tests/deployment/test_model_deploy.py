"""Flags and environment to a layout, and what is refused."""

import json

import pytest

from deployment import model_deploy
from deployment.model_deploy import DeploymentConfig
from errors import InputError

HOSTS = ("a:1", "b:1")


def configure(environment=None, **flags) -> DeploymentConfig:
    absent = {
        "num_clones": 1,
        "clone_on_cpu": False,
        "num_replicas": None,
        "task": None,
        "worker_hosts": (),
    }
    return model_deploy.configure(**{**absent, **flags}, environment=environment or {})


def tf_config(index: int) -> dict[str, str]:
    config = {"cluster": {"worker": HOSTS}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


def test_default_is_one_worker_that_is_the_chief():
    config = configure()
    assert (config.num_replicas, config.replica_id, config.worker_hosts) == (1, 0, ())
    assert config.is_chief


def test_worker_hosts_alone_say_how_many_there_are():
    config = configure(worker_hosts=HOSTS, task=1)
    assert (config.num_replicas, config.replica_id) == (2, 1)
    assert not config.is_chief


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
        config.strategy()
