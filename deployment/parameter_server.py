"""Asynchronous training: workers take steps as they come, parameter servers hold the weights.

The chief's process traces the step once, hands it out, and writes what comes back; workers and
parameter servers run TensorFlow's server and follow the chief. A step reads the weights, finds a
gradient of its own batch and applies it, whatever other workers have applied meanwhile.

Surprising: which weights a step sees depends on the workers' speed, so that a run cannot be
repeated bit for bit. A worker that is lost leaves its step half applied; another repeats it.
"""

import math
import sys
import time
from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from deployment import connections
from deployment.environment import PS, WORKER
from deployment.model_deploy import DeploymentConfig
from deployment.peers import Heartbeat, PeerMonitor
from runtime import watchdog
from runtime.errors import InputError
from runtime.signals import StopRequest

_POLL_SECS = 0.2
_LEAVING_SECS = 20.0  # from SIGTERM to a worker's end: it may have come to the chief as well


def serve(
    deployment: DeploymentConfig, *, stall_timeout_secs: float, gpu_memory_fraction: float | None
) -> bool:
    """What a worker or a parameter server does, until the chief is gone.

    A chief that sends no heartbeat for `stall_timeout_secs` ends the process with exit code 75.
    SIGTERM to a parameter server asks the chief to save and stop; to a worker it means that it has
    to go, which the others survive.

    Args:
      deployment: with this process's place.
      stall_timeout_secs: 0 waits forever.
      gpu_memory_fraction: share of each GPU's memory that a worker takes; None lets it grow.

    Returns:
      Whether the chief had the last step taken.

    Raises:
      InputError: the port cannot be used.
    """
    job = PS if deployment.is_ps else WORKER
    task = deployment.replica_id - (job == WORKER)
    try:
        server = tf.distribute.Server(
            tf.train.ClusterSpec(deployment.servers),
            job_name=job,
            task_index=task,
            protocol="grpc",
            config=devices(deployment, gpu_memory_fraction=gpu_memory_fraction),
        )
    except tf.errors.UnknownError as error:
        raise InputError(
            f"The address {deployment.servers[job][task]} of {job} {task} cannot be used "
            f"({error.message}): choose another in --worker_hosts, --ps_hosts or TF_CONFIG."
        ) from error
    with watchdog.Watchdog(stall_timeout_secs) as watch:
        line = Heartbeat(
            deployment.worker_hosts[0],
            f"{job} {task}",
            on_life=lambda: watch.beat("the chief's last heartbeat"),
            on_wait=watch.waits_for,
        )
        print(f"{job} {task} serves at {server.target}.", flush=True)
        with StopRequest() as interrupts:
            done = _follow(line, interrupts, job=job)
    if not done:
        why = "This process was asked to stop" if interrupts.received else "The chief has ended"
        print(f"{why}: run the same command again.", flush=True)
    return done


def _follow(line: Heartbeat, interrupts: StopRequest, *, job: str) -> bool:
    asked, leave_at = False, math.inf
    while (done := line.ended()) is None and time.monotonic() < leave_at:
        if interrupts.received and not asked:
            asked = True
            if job == PS:
                line.ask_to_stop()
            else:
                leave_at = time.monotonic() + _LEAVING_SECS
    return bool(done)


def gather(
    deployment: DeploymentConfig, *, stall_timeout_secs: float, on_wait: Callable[[str], None]
) -> PeerMonitor | None:
    """Waits for all workers and parameter servers; None where workers train synchronously.

    From then on the chief ends when it cannot send heartbeats for `stall_timeout_secs`, as they do.

    Args:
      deployment: with their addresses.
      stall_timeout_secs: 0 waits forever.
      on_wait: told who is missing and why, as a clause, time and again.

    Raises:
      InputError: the chief's port cannot be used.
    """
    if not deployment.num_ps_tasks:
        return None
    addresses = {
        f"{job} {task}": host
        for job, hosts in deployment.servers.items()
        for task, host in enumerate(hosts)
    }
    port = int(deployment.worker_hosts[0].rpartition(":")[2])
    expected = [f"{name} ({host})" for name, host in addresses.items()]
    print(f"Waiting at port {port} for {', '.join(expected)}.", flush=True)
    switch = watchdog.ProcessTimer(
        stall_timeout_secs,
        f"The chief was blocked for {stall_timeout_secs:g} seconds (--stall_timeout_secs): a "
        "worker is stuck. Run the same command again everywhere; it resumes from the last "
        "checkpoint.",
    )
    peers = PeerMonitor(port, addresses, on_lost=_lost, on_life=switch.reset)
    reach = connections.Reach(addresses)
    while missing := reach.missing(peers.missing(), port):
        on_wait(missing)
        time.sleep(_POLL_SECS)
    return peers


def _lost(name: str, vanished: bool) -> None:
    if name.startswith(PS):
        watchdog.exit_for_restart(
            f"Parameter server {name} is gone, and its weights with it. Run the same command again "
            "everywhere; it resumes from the last checkpoint."
        )
    if vanished:  # TensorFlow would wait for it, and cannot continue without it
        watchdog.exit_for_restart(
            f"The host of {name} has not answered for {connections.GONE_SECS} seconds. Run the "
            "same command again everywhere, without that worker while its host is away; it resumes "
            "from the last checkpoint."
        )
    print(f"{name} is gone; the others continue without it.", file=sys.stderr, flush=True)


def devices(
    deployment: DeploymentConfig, *, gpu_memory_fraction: float | None
) -> config_pb2.ConfigProto:
    """The GPUs that a server may use: those of its clones, none on a parameter server.

    Args:
      deployment: with the server's place.
      gpu_memory_fraction: share of each GPU's memory that it takes; None lets it grow.
    """
    idle = deployment.clone_on_cpu or deployment.is_ps
    config = config_pb2.ConfigProto(device_count={"GPU": 0 if idle else deployment.num_clones})
    if gpu_memory_fraction is None:
        config.gpu_options.allow_growth = True
    else:
        config.gpu_options.per_process_gpu_memory_fraction = gpu_memory_fraction
    return config
