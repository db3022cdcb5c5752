"""The manifests for Kubernetes: YAML that starts what is there with flags that there are."""

import dataclasses
import pathlib
import re

import pytest

from deployment.model_deploy import configure
from training.settings import TrainSettings

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESTARTS = 20  # of each worker


def read(name: str) -> dict[str, dict]:
    yaml = pytest.importorskip("yaml")  # comes with pre-commit
    text = (ROOT / "scripts" / name).read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture(scope="module")
def tfjob() -> dict[str, dict]:
    return read("kubernetes_tfjob.yaml")


@pytest.fixture(scope="module")
def job() -> dict[str, dict]:
    return read("kubernetes_job.yaml")


@pytest.fixture(params=["tfjob", "job"])
def workers(request, tfjob, job) -> tuple[dict, dict]:
    """The template of the workers' pods, and the network policy beside it."""
    if request.param == "job":
        return job["Job"]["spec"]["template"], job["NetworkPolicy"]
    return tfjob["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"], tfjob["NetworkPolicy"]


def test_workers_are_started_with_flags_that_there_are(workers):
    pod = workers[0]["spec"]
    (container,) = pod["containers"]
    python, program, *flags = container["command"]
    assert (python, (ROOT / program).is_file()) == ("python3", True)
    names = {re.fullmatch(r"--(\w+)=.+", flag)[1] for flag in flags}
    assert names - {"flagfile"} <= {field.name for field in dataclasses.fields(TrainSettings)}
    (volume,) = pod["volumes"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    assert {"--dataset_dir=/data/tfrecords", "--train_dir=/data/run"} <= {*flags}
    assert mount["mountPath"] == "/data"


def test_network_policy_is_about_the_workers(workers):
    template, policy = workers
    labels = template["metadata"]["labels"]
    (rule,) = policy["spec"]["ingress"]
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]


def test_restarts_are_enough_for_all_workers(tfjob, job):
    """Both count the failures of all pods together."""
    spec = tfjob["TFJob"]["spec"]
    replicas = spec["tfReplicaSpecs"]["Worker"]["replicas"]
    assert spec["runPolicy"]["backoffLimit"] == RESTARTS * replicas
    assert job["Job"]["spec"]["backoffLimit"] == RESTARTS * job["Job"]["spec"]["completions"]


@pytest.mark.parametrize("index", [0, 1])
def test_every_pod_of_the_indexed_job_is_the_worker_of_its_number(job, index):
    service, spec = job["Service"], job["Job"]["spec"]
    name, port = job["Job"]["metadata"]["name"], service["spec"]["ports"][0]["port"]
    pod = spec["template"]["spec"]
    assert spec["completions"] == spec["parallelism"] == 2
    assert spec["completionMode"] == "Indexed"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert pod["containers"][0]["ports"] == [{"containerPort": port}]
    flags = dict(flag.split("=", 1) for flag in pod["containers"][0]["command"] if "=" in flag)
    place = configure(
        num_clones=1,
        clone_on_cpu=False,
        num_replicas=None,
        task=int(flags["--task"].replace("$(JOB_COMPLETION_INDEX)", str(index))),
        worker_hosts=flags["--worker_hosts"].split(","),
        num_ps_tasks=None,
        ps_hosts=(),
        job_name=None,
        worker_job_name="worker",
        ps_job_name="ps",
        environment={},
    )
    address = f"{name}-{index}.{service['metadata']['name']}:{port}"
    assert place.worker_hosts[place.replica_id] == address


def test_indexed_job_ends_at_invalid_input_and_runs_again_after_an_interruption(job):
    spec = job["Job"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    rules = spec["podFailurePolicy"]["rules"]
    actions = {
        code: rule["action"]
        for rule in rules
        if "onExitCodes" in rule and rule["onExitCodes"]["containerName"] == container["name"]
        for code in rule["onExitCodes"]["values"]
    }
    assert actions == {2: "FailJob", 75: "Ignore", 137: "Ignore", 143: "Ignore"}
    (conditions,) = [rule["onPodConditions"] for rule in rules if "onPodConditions" in rule]
    assert conditions == [{"type": "DisruptionTarget", "status": "True"}]
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # which the policy asks for
