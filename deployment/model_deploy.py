"""Where a training runs: `DeploymentConfig` turns flags into a strategy of TensorFlow.

The rest of the code asks the strategy it is given and never which one it is. A clone is a replica
on this host; a worker is a process, on this host or another. With parameter servers the workers do
not wait for each other, and the chief takes no steps: it hands them out. What is not in the flags
comes from the environment (`deployment/environment.py`), and what is said twice must agree.

Surprising: on CPUs a worker is one clone, because TensorFlow's MultiWorkerMirroredStrategy uses
one CPU device of each process.
"""

import dataclasses
import logging
import signal
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from deployment import environment as deployment_environment
from deployment import rendezvous
from deployment.environment import PS, WORKER, ClusterMembership, JobNames
from runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class DeploymentConfig:
    """The layout of a training.

    Attributes:
      num_clones: replicas on this host, each with a batch of its own.
      clone_on_cpu: put the clones on the CPU even where there are GPUs.
      replica_id: number of this process within its job; worker 0 is the chief, which alone writes
        train_dir.
      num_replicas: workers, the chief counted; synchronous without parameter servers.
      num_ps_tasks: parameter servers; 0 for a synchronous training.
      worker_job_name: what the user calls the workers.
      ps_job_name: what the user calls the parameter servers.
      worker_hosts: `host:port` of every worker, in order; empty with one worker.
      ps_hosts: `host:port` of every parameter server.
      job: one of the two names, what this process is; None is a worker.
    """

    num_clones: int = 1
    clone_on_cpu: bool = False
    replica_id: int = 0
    num_replicas: int = 1
    num_ps_tasks: int = 0
    worker_job_name: str = WORKER
    ps_job_name: str = PS
    _: dataclasses.KW_ONLY
    worker_hosts: tuple[str, ...] = ()
    ps_hosts: tuple[str, ...] = ()
    job: str | None = None

    def __post_init__(self):
        for name, value in (("clones", self.num_clones), ("replicas", self.num_replicas)):
            if value < 1:
                raise InputError(f"--num_{name}={value} must be 1 or more.")
        _canonical(self.job, JobNames(self.worker_job_name, self.ps_job_name))
        if self.num_ps_tasks or self.is_ps:
            self._check_servers()
        tasks = self.num_ps_tasks if self.is_ps else self.num_replicas
        if not 0 <= self.replica_id < tasks:
            raise InputError(
                f"--task={self.replica_id} must lie in 0...{tasks - 1}: there are {tasks} "
                + ("parameter servers." if self.is_ps else "workers (--num_replicas).")
            )
        if self.num_replicas > 1:
            self._check_hosts()

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes train_dir and decides where a run begins."""
        return not self.is_ps and self.replica_id == 0

    @property
    def is_ps(self) -> bool:
        """Whether this process holds weights."""
        return self.job == self.ps_job_name

    @property
    def is_server(self) -> bool:
        """Whether this process does what the chief sends it, and nothing of its own."""
        return self.num_ps_tasks > 0 and not self.is_chief

    @property
    def num_in_step(self) -> int:
        """Workers that train synchronously and hold the same program."""
        return 1 if self.num_ps_tasks else self.num_replicas

    @property
    def has_peers(self) -> bool:
        """Whether other processes take part, whose loss TensorFlow reports here."""
        return self.num_replicas > 1

    @property
    def summary(self) -> str:
        """Who takes part, as the end of a sentence; empty where this process is alone."""
        if self.num_ps_tasks:
            workers, servers = len(self.servers[WORKER]), len(self.servers[PS])
            return f"; asynchronous, workers: {workers}, parameter servers: {servers}"
        return f"; {self.num_replicas} workers" if self.has_peers else ""

    @property
    def servers(self) -> dict[str, tuple[str, ...]]:
        """The processes that serve the chief: job -> `host:port` of each, as TensorFlow names."""
        return {WORKER: self.worker_hosts[1:], PS: self.ps_hosts}

    def strategy(self, *, on_wait: Callable[[str], None]) -> tf.distribute.Strategy:
        """The strategy; call before anything touches the devices. Waits for all workers.

        Args:
          on_wait: told which workers are missing and why, as a clause, time and again.

        Raises:
          InputError: more clones than GPUs, or several on the CPU of one of several workers.
        """
        gpus = tf.config.list_physical_devices("GPU")
        if self.num_ps_tasks:
            return self._parameter_server()
        on_cpu = self.clone_on_cpu or not gpus
        if not on_cpu and self.num_clones > len(gpus):
            raise InputError(
                f"--num_clones={self.num_clones} is more than the {len(gpus)} GPUs of this host: "
                "lower it, or pass --clone_on_cpu."
            )
        if self.num_replicas > 1:
            # It tells of every collective, which buries what a user has to read.
            logging.getLogger("tensorflow").setLevel(logging.WARNING)
            return self._multi_worker(on_cpu, on_wait)
        if self.num_clones > 1:
            return tf.distribute.MirroredStrategy(
                _logical_cpus(self.num_clones)
                if on_cpu
                else [f"/gpu:{i}" for i in range(self.num_clones)]
            )
        if gpus:  # which has the next batches there before a step asks for them
            return tf.distribute.OneDeviceStrategy("/cpu:0" if on_cpu else "/gpu:0")
        return tf.distribute.get_strategy()

    def _multi_worker(self, on_cpu: bool, on_wait: Callable[[str], None]) -> tf.distribute.Strategy:
        if on_cpu and self.num_clones > 1:
            raise InputError(
                f"--num_clones={self.num_clones} with --num_replicas={self.num_replicas} on CPUs: "
                "TensorFlow gives each worker one CPU clone; start more workers instead."
            )
        rendezvous.meet(self.worker_hosts, self.replica_id, on_wait=on_wait)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": self.worker_hosts}),
            task_type="worker",
            task_id=self.replica_id,
            num_accelerators={} if on_cpu else {"GPU": self.num_clones},
            rpc_layer="grpc",
        )
        handler = signal.getsignal(signal.SIGTERM)
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        # TensorFlow only takes note of it from then on: a request to stop would go unheard.
        signal.signal(signal.SIGTERM, handler)
        return strategy

    def _parameter_server(self) -> tf.distribute.Strategy:
        # They tell at length of sessions and lost workers; the chief says that in a sentence.
        for name in ("tensorflow", "absl"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        tf.config.set_visible_devices([], "GPU")  # they are the workers'
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(self.servers), rpc_layer="grpc"
        )
        strategy = tf.distribute.ParameterServerStrategy(resolver)
        if strategy.num_replicas_in_sync != self.num_clones:
            raise InputError(
                f"--num_clones={self.num_clones}: each worker has room for "
                f"{strategy.num_replicas_in_sync}; on CPUs that is one, so start more workers."
            )
        return strategy

    def _check_servers(self) -> None:
        if not self.num_ps_tasks:
            raise InputError("--job_name: there are no parameter servers: give --ps_hosts.")
        if self.num_ps_tasks != len(self.ps_hosts):
            raise InputError(
                f"--num_ps_tasks={self.num_ps_tasks} needs as many addresses and there are "
                f"{len(self.ps_hosts)}: give --ps_hosts=host:port,host:port, TF_CONFIG, or start "
                "them with srun."
            )
        if self.num_replicas < 2:
            raise InputError(
                f"--num_ps_tasks={self.num_ps_tasks} with --num_replicas={self.num_replicas}: "
                "name the chief, which hands out the steps, and at least one worker, which takes "
                "them."
            )

    def _check_hosts(self) -> None:
        if not self.worker_hosts:
            raise InputError(
                f"--num_replicas={self.num_replicas} needs the workers' addresses: give "
                "--worker_hosts=host:port,host:port, TF_CONFIG, or start them with srun."
            )
        hosts = self.worker_hosts + self.ps_hosts
        flag = "--worker_hosts and --ps_hosts" if self.ps_hosts else "--worker_hosts"
        for host in hosts:
            name, _, port = host.rpartition(":")
            if not name or not port.isdigit():
                raise InputError(f"{flag}: {host!r} must have the form host:port.")
        if len(set(hosts)) < len(hosts):
            raise InputError(
                f"{flag}: {','.join(hosts)} names an address twice: each process needs one of its "
                "own."
            )


def configure(
    *,
    num_clones: int,
    clone_on_cpu: bool,
    num_replicas: int | None,
    task: int | None,
    worker_hosts: Sequence[str],
    num_ps_tasks: int | None,
    ps_hosts: Sequence[str],
    job_name: str | None,
    worker_job_name: str,
    ps_job_name: str,
    environment: Mapping[str, str],
) -> DeploymentConfig:
    """Flags and environment -> the layout; the arguments are the flags of these names.

    Args:
      num_clones: see `DeploymentConfig`.
      clone_on_cpu: see `DeploymentConfig`.
      num_replicas: None where the flag is absent.
      task: None where the flag is absent.
      worker_hosts: empty where the flag is absent.
      num_ps_tasks: None where the flag is absent.
      ps_hosts: empty where the flag is absent.
      job_name: one of the two names below; None where the flag is absent.
      worker_job_name: what TF_CONFIG and `job_name` call the workers.
      ps_job_name: what they call the parameter servers.
      environment: such as `os.environ`.

    Raises:
      InputError: two sources contradict each other, or one is malformed.
    """
    names = JobNames(worker_job_name, ps_job_name)
    flags = ClusterMembership(
        "the flags",
        _count("num_replicas", num_replicas, "worker_hosts", worker_hosts),
        task,
        tuple(worker_hosts),
        job=_canonical(job_name, names),
        num_ps_tasks=_count("num_ps_tasks", num_ps_tasks, "ps_hosts", ps_hosts),
        ps_hosts=tuple(ps_hosts),
    )
    found = deployment_environment.read(environment, names=names, num_ps_tasks=num_ps_tasks)
    place = deployment_environment.merge([flags, *found])
    return DeploymentConfig(
        num_clones=num_clones,
        clone_on_cpu=clone_on_cpu,
        num_replicas=1 if place.num_replicas is None else place.num_replicas,
        replica_id=place.task or 0,
        worker_hosts=place.hosts if place.num_replicas != 1 else (),
        num_ps_tasks=place.num_ps_tasks or 0,
        ps_hosts=place.ps_hosts,
        worker_job_name=names.worker,
        ps_job_name=names.ps,
        job=names.ps if place.job == PS else None,
    )


def _count(flag: str, count: int | None, list_flag: str, hosts: Sequence[str]) -> int | None:
    """How many processes a job has: as its flag says, or its list of addresses."""
    if hosts and count not in (None, len(hosts)):
        raise InputError(
            f"--{flag}={count} differs from the {len(hosts)} addresses of --{list_flag}: drop "
            f"--{flag}, or correct the list."
        )
    return count if count is not None else len(hosts) or None


def _canonical(job_name: str | None, names: JobNames) -> str | None:
    """WORKER or PS, as TensorFlow calls what the user has names for; None stays None."""
    if job_name not in (None, *names):
        raise InputError(
            f"--job_name={job_name} must be {names.worker} or {names.ps} (--worker_job_name, "
            "--ps_job_name); the chief is task 0 of the workers."
        )
    return {None: None, names.worker: WORKER, names.ps: PS}[job_name]


def _logical_cpus(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )
    return [f"/cpu:{i}" for i in range(count)]
