"""The manifest for Kubernetes: it is YAML, and starts what is there with flags that there are."""

import dataclasses
import pathlib
import re

import pytest

from training.settings import TrainSettings

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def documents() -> dict[str, dict]:
    yaml = pytest.importorskip("yaml")  # comes with pre-commit
    text = (ROOT / "scripts" / "kubernetes_tfjob.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def test_workers_are_started_with_flags_that_there_are(documents):
    pod = documents["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
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


def test_network_policy_is_about_the_workers(documents):
    pod = documents["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"]
    labels = pod["metadata"]["labels"]
    policy = documents["NetworkPolicy"]["spec"]
    (rule,) = policy["ingress"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
