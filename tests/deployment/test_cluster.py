"""What workers tell each other, and how an error of a device differs from a peer's death."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from deployment.cluster import Cluster, exit_when_a_peer_dies
from deployment.model_deploy import DeploymentConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
RAISE = """
import tensorflow as tf
from deployment.cluster import exit_when_a_peer_dies
from deployment.model_deploy import DeploymentConfig
hosts = ("localhost:1", "localhost:2")
with exit_when_a_peer_dies(DeploymentConfig(num_replicas=2, worker_hosts=hosts)):
    raise tf.errors.{error}(None, None, "cuDNN has no\\nplan")
"""


def test_words_are_summed_as_int64_which_gpus_can():
    (total,) = Cluster(DeploymentConfig(), tf.distribute.get_strategy())._sum([np.int32([-1, 7])])
    assert total.dtype == np.int64
    assert total.tolist() == [-1, 7]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("UnavailableError", "Another worker is gone (UnavailableError). Run"),
        ("InternalError", "or a device failed here (cuDNN has no plan). Run"),
    ],
)
def test_peers_death_ends_with_75_and_says_what_may_have_been_a_device(error, said):
    code = RAISE.format(error=error)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 75
    assert said in done.stderr


def test_error_of_a_process_without_peers_is_raised():
    with pytest.raises(tf.errors.InternalError), exit_when_a_peer_dies(DeploymentConfig()):
        raise tf.errors.InternalError(None, None, "cuDNN has no plan")
