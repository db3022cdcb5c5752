"""Where a training runs: `DeploymentConfig` turns flags into a strategy of TensorFlow.

The rest of the code asks the strategy it is given and never which one it is. A clone is a replica
on this host; a worker is a process, on this host or another. What is not in the flags comes from
the environment (`deployment/cluster_environment.py`), and what is said twice must agree.

Surprising: on CPUs a worker is one clone, because TensorFlow's MultiWorkerMirroredStrategy uses
one CPU device of each process.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import tensorflow as tf

from deployment import cluster_environment, rendezvous
from deployment.cluster_environment import Place
from errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeploymentConfig:
    """The layout of a training.

    Attributes:
      num_clones: replicas on this host, each with a batch of its own.
      clone_on_cpu: put the clones on the CPU even where there are GPUs.
      num_replicas: workers, synchronous.
      replica_id: number of this worker; 0 is the chief, which alone writes train_dir.
      worker_hosts: `host:port` of every worker, in order; empty with one worker.
    """

    num_clones: int = 1
    clone_on_cpu: bool = False
    num_replicas: int = 1
    replica_id: int = 0
    worker_hosts: tuple[str, ...] = ()

    def __post_init__(self):
        for name, value in (("clones", self.num_clones), ("replicas", self.num_replicas)):
            if value < 1:
                raise InputError(f"--num_{name}={value} must be 1 or more.")
        if not 0 <= self.replica_id < self.num_replicas:
            raise InputError(
                f"--task={self.replica_id} must lie in 0...{self.num_replicas - 1}: there are "
                f"{self.num_replicas} workers (--num_replicas)."
            )
        if self.num_replicas > 1:
            self._check_hosts()

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes train_dir and decides where a run begins."""
        return self.replica_id == 0

    def strategy(self) -> tf.distribute.Strategy:
        """The strategy; call before anything touches the devices. Waits for all workers.

        Raises:
          InputError: more clones than GPUs, or several on the CPU of one of several workers.
        """
        gpus = tf.config.list_physical_devices("GPU")
        on_cpu = self.clone_on_cpu or not gpus
        if not on_cpu and self.num_clones > len(gpus):
            raise InputError(
                f"--num_clones={self.num_clones} is more than the {len(gpus)} GPUs of this host: "
                "lower it, or pass --clone_on_cpu."
            )
        if self.num_replicas > 1:
            # It tells of every collective, which buries what a user has to read.
            logging.getLogger("tensorflow").setLevel(logging.WARNING)
            return self._multi_worker(on_cpu)
        if self.num_clones > 1:
            return tf.distribute.MirroredStrategy(
                _logical_cpus(self.num_clones)
                if on_cpu
                else [f"/gpu:{i}" for i in range(self.num_clones)]
            )
        if on_cpu and gpus:
            return tf.distribute.OneDeviceStrategy("/cpu:0")
        return tf.distribute.get_strategy()

    def _multi_worker(self, on_cpu: bool) -> tf.distribute.Strategy:
        if on_cpu and self.num_clones > 1:
            raise InputError(
                f"--num_clones={self.num_clones} with --num_replicas={self.num_replicas} on CPUs: "
                "TensorFlow gives each worker one CPU clone; start more workers instead."
            )
        rendezvous.meet(self.worker_hosts, self.replica_id)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": self.worker_hosts}),
            task_type="worker",
            task_id=self.replica_id,
            num_accelerators={} if on_cpu else {"GPU": self.num_clones},
            rpc_layer="grpc",
        )
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)

    def _check_hosts(self) -> None:
        if not self.worker_hosts:
            raise InputError(
                f"--num_replicas={self.num_replicas} needs the workers' addresses: give "
                "--worker_hosts=host:port,host:port, TF_CONFIG, or start them with srun."
            )
        for host in self.worker_hosts:
            name, _, port = host.rpartition(":")
            if not name or not port.isdigit():
                raise InputError(f"--worker_hosts: {host!r} must have the form host:port.")
        if len(set(self.worker_hosts)) < len(self.worker_hosts):
            raise InputError(
                f"--worker_hosts={','.join(self.worker_hosts)} names an address twice: each "
                "worker needs one of its own."
            )


def configure(
    *,
    num_clones: int,
    clone_on_cpu: bool,
    num_replicas: int | None,
    task: int | None,
    worker_hosts: Sequence[str],
    environment: Mapping[str, str],
) -> DeploymentConfig:
    """Flags and environment -> the layout; the arguments are the flags of these names.

    Args:
      num_clones: see `DeploymentConfig`.
      clone_on_cpu: see `DeploymentConfig`.
      num_replicas: None where the flag is absent.
      task: None where the flag is absent.
      worker_hosts: empty where the flag is absent.
      environment: such as `os.environ`.

    Raises:
      InputError: two sources contradict each other, or one is malformed.
    """
    hosts = tuple(worker_hosts)
    flags = Place(
        "the flags", num_replicas if num_replicas is not None else len(hosts) or None, task, hosts
    )
    if hosts and flags.num_replicas != len(hosts):
        raise InputError(
            f"--num_replicas={num_replicas} differs from the {len(hosts)} addresses of "
            "--worker_hosts: drop --num_replicas, or mend the list."
        )
    place = cluster_environment.merge([flags, *cluster_environment.read(environment)])
    return DeploymentConfig(
        num_clones=num_clones,
        clone_on_cpu=clone_on_cpu,
        num_replicas=1 if place.num_replicas is None else place.num_replicas,
        replica_id=place.task or 0,
        worker_hosts=place.hosts if place.num_replicas != 1 else (),
    )


def _logical_cpus(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )
    return [f"/cpu:{i}" for i in range(count)]
