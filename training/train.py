"""Training, put together: records in, checkpoints and metrics out, resumable at any step.

Reads from the flags to the last step: `train` finds out what this process is, `_train` begins or
resumes the run, `run_to_the_end` has its steps taken. What they call stands below, in order.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping

from datasets.dataset_factory import Dataset
from datasets.mixture import get_mixture
from datasets.records.features import ObjectRules
from datasets.records.graph_source import GraphRecordSource
from datasets.records.source import RecordSource
from deployment import model_deploy, parameter_server
from deployment.cluster import Cluster, exit_when_a_peer_dies
from deployment.model_deploy import DeploymentConfig
from evaluation import run_curves
from model import train_dir
from model.detector import Detector
from runtime import hardware
from runtime.errors import InputError
from runtime.signals import StopRequest
from runtime.watchdog import ProcessTimer, Watchdog
from training import evaluations, initial_weights, preflight, remote_steps
from training import start as run_start
from training import state as train_state
from training.evaluations import EvaluationOutcome, Evaluations
from training.input import make_pipeline
from training.local_steps import LocalSteps
from training.numerics import NumericsCheck
from training.profiling import StepProfiler
from training.remote_steps import RemoteSteps
from training.settings import TrainSettings
from training.start import Start
from training.state import TrainState
from training.summaries import TrainSummaries
from training.writer import NullWriter, RunWriter


def train(
    settings: TrainSettings,
    environment: Mapping[str, str],
    *,
    on_end: Callable[[], None] = lambda: None,
    leave: Callable[[bool], None] | None = None,
) -> bool:
    """Trains until the last step, an early end, or a signal that asks any worker to stop.

    A stall and the loss of another worker end the process with exit code 75.

    Args:
      settings: the flags.
      environment: may name a cluster, by TF_CONFIG or SLURM's variables.
      on_end: called by the chief when the run is done, while the other workers still wait.
      leave: ends the process, with what is returned otherwise, when all is written and before
        TensorFlow's objects are destroyed: they wait for its threads, up to a minute.

    Returns:
      Whether the run is done; False after a signal, with a checkpoint saved.

    Raises:
      InputError: flags, data or an earlier run do not allow it.
    """
    hardware.set_up_gpu_memory(settings.gpu_memory_fraction)
    if settings.dry_run:
        return _dry_run(settings)
    run_start.check_overwrite(settings, environment)
    deployment = _deployment(settings, environment)
    if deployment.num_ps_tasks:
        remote_steps.check(settings)
        if remote_steps.is_over(settings):
            return True
    if deployment.is_server:
        return parameter_server.serve(
            deployment,
            stall_timeout_secs=settings.stall_timeout_secs,
            gpu_memory_fraction=settings.gpu_memory_fraction,
        )
    settings = dataclasses.replace(
        settings,
        num_replicas=deployment.num_replicas if deployment.has_peers else None,
        num_ps_tasks=deployment.num_ps_tasks or None,
    )
    with exit_when_a_peer_dies(deployment):
        with _watched_start(deployment, settings.stall_timeout_secs) as watchdog:
            servers = parameter_server.gather(
                deployment,
                stall_timeout_secs=settings.stall_timeout_secs,
                on_wait=watchdog.waits_for,
            )
            strategy = deployment.strategy(on_wait=watchdog.waits_for)
        # Not watched: records without a manifest are read from end to end, however long it takes.
        dataset = _dataset(settings)
        settings = settings.in_steps(dataset.num_samples)
        preflight.refuse_useless(settings, dataset)
        if deployment.is_chief:
            evaluations.check_split(settings, dataset.labels)
        return _train(settings, dataset, deployment, strategy, servers, on_end, leave)


def _train(
    settings: TrainSettings,
    dataset: Dataset,
    deployment: DeploymentConfig,
    strategy,
    servers,
    on_end: Callable[[], None],
    leave: Callable[[bool], None] | None,
) -> bool:
    """Begins or resumes the run, the same on every worker, and takes its steps."""
    cluster = Cluster(deployment, strategy)
    with Watchdog(settings.stall_timeout_secs) as watchdog, contextlib.ExitStack() as until:
        start = run_start.agree(settings, dataset, cluster, until=until)
        resolved = start.settings
        with strategy.scope():
            state = TrainState(
                resolved,
                start.description,
                num_samples=dataset.num_samples,
                fingerprint=dataset.fingerprint,
                initializer=start.origin.initializer,
            )
        run_start.begin(state, start, cluster)
        watchdog.beat("the network was made")
        interrupts = until.enter_context(StopRequest())
        source, steps = _steps(start, state, dataset, strategy, servers)
        writer = NullWriter()
        if cluster.is_chief:
            if resolved.overwrite:  # only now is all else known to be possible
                train_dir.clear(resolved.train_dir)
            run_start.describe(start, dataset, state)
            summaries = TrainSummaries(
                state.detector,
                strategy,
                histograms=resolved.summarize_gradients,
                images=resolved.save_summaries_images,
            )
            writer = RunWriter(
                resolved, start=start.step, tensors=state.tensors, summaries=summaries
            )
            run_start.announce(start, state, dataset, deployment)
        done = run_to_the_end(
            start,
            steps,
            NumericsCheck(resolved, source, dataset),
            writer,
            cluster,
            num_samples=dataset.num_samples,
            interrupts=interrupts,
            watchdog=watchdog,
            on_end=on_end,
        )
    if leave:
        leave(done)
    return done


def run_to_the_end(
    start: Start,
    steps: LocalSteps | RemoteSteps,
    numerics: NumericsCheck,
    writer: NullWriter,
    cluster: Cluster,
    *,
    num_samples: int,
    interrupts: StopRequest,
    watchdog: Watchdog,
    on_end: Callable[[], None] = lambda: None,
) -> bool:
    """Has the steps taken, to the last one, an early end or a request to stop.

    Args:
      start: where to begin.
      steps: takes them.
      numerics: looks at each.
      writer: writes, on the chief.
      cluster: the workers.
      num_samples: images of an epoch.
      interrupts: asks for a stop.
      watchdog: told of every step.
      on_end: called by the chief when the run is done.

    Returns:
      Whether the run is done.
    """
    settings, step, stop = start.settings, start.step, False
    evaluations = Evaluations(
        settings,
        start=step,
        num_samples=num_samples,
        cluster=cluster,
        writer=writer,
        interrupts=interrupts,
        watchdog=watchdog,
    )
    traced = settings.profile_dir if cluster.is_chief else ""
    with writer, StepProfiler(traced, start=step) as profiler:
        outcome = evaluations.after_step(step)
        while step < settings.last_step and not stop and outcome == EvaluationOutcome.GO_ON:
            with profiler.step(step):
                taken = steps.take(
                    stop=lambda: interrupts.received is not None, drain=writer.save_is_due()
                )
            if taken is None:
                stop = True
                break
            batch, result = taken
            step += 1
            stop = bool(result["stop"])
            if problem := numerics.after_step(step, result):
                writer.message(problem)
            writer.after_step(step, result, batch, idle=steps.idle)
            watchdog.beat(f"step {step}")
            if not stop or step == settings.last_step:
                outcome = evaluations.after_step(step)  # which a signal ends, too
        writer.save(step)
    if step == settings.last_step:
        steps.finish()
    stopped = outcome == EvaluationOutcome.STOPPED or (stop and step < settings.last_step)
    if cluster.is_chief:
        run_curves.write(settings.train_dir)
        if not stopped:
            on_end()
    cluster.wait()
    if stopped and cluster.is_chief:
        by = interrupts.received.name if interrupts.received else "a signal to another worker"
        saved = "saved" if step else "nothing to save yet"
        how = " Run again without --overwrite." if settings.overwrite else ""
        print(f"Stopped by {by} at step {step}; {saved}.{how}")
    return not stopped


def _dry_run(settings: TrainSettings) -> bool:
    """Prints where each variable would start from; writes nothing."""
    origin = initial_weights.find_initial_weights(settings)
    dataset = _dataset(settings)
    settings = settings.in_steps(dataset.num_samples)
    preflight.refuse_useless(settings, dataset)
    _, description = train_state.resolve(
        settings, dataset.labels, None, origin, num_samples=dataset.num_samples
    )
    print(initial_weights.describe_plan(Detector(description), origin, settings))
    return True


def _deployment(settings: TrainSettings, environment: Mapping[str, str]) -> DeploymentConfig:
    return model_deploy.configure(
        num_clones=settings.num_clones,
        clone_on_cpu=settings.clone_on_cpu,
        num_replicas=settings.num_replicas,
        task=settings.task,
        worker_hosts=settings.worker_hosts,
        num_ps_tasks=settings.num_ps_tasks,
        ps_hosts=settings.ps_hosts,
        job_name=settings.job_name,
        worker_job_name=settings.worker_job_name,
        ps_job_name=settings.ps_job_name,
        environment=environment,
    )


@contextlib.contextmanager
def _watched_start(deployment: DeploymentConfig, stall_timeout_secs: float) -> Iterator[Watchdog]:
    """Ends the process with 75 when the others do not come, or are lost while TensorFlow starts.

    Workers that train synchronously wait in TensorFlow for each other, with Python standing still.
    """
    switch = ProcessTimer(
        stall_timeout_secs if deployment.num_in_step > 1 else 0,
        f"TensorFlow could not start in {stall_timeout_secs:g} seconds (--stall_timeout_secs): "
        "another worker is gone or stuck. Run the same command again; it resumes from the last "
        "checkpoint.",
    )
    with switch, Watchdog(stall_timeout_secs, on_look=switch.reset) as watchdog:
        yield watchdog


def _dataset(settings: TrainSettings) -> Dataset:
    dataset = get_mixture(
        settings.dataset_name,
        settings.dataset_split_name,
        settings.dataset_dir,
        weights=settings.dataset_weights,
        labels_file=settings.labels_file,
        labels_offset=settings.labels_offset,
    )
    if settings.num_classes not in (None, len(dataset.labels) + 1):
        raise InputError(
            f"--num_classes={settings.num_classes} counts the background, so {dataset.name} with "
            f"its {len(dataset.labels)} classes has {len(dataset.labels) + 1}: remove the flag, or "
            "correct the labels."
        )
    return dataset


def _steps(
    start: Start, state: TrainState, dataset: Dataset, strategy, servers
) -> tuple[RecordSource | None, LocalSteps | RemoteSteps]:
    """Who takes the steps: this process, from a source, or workers that it hands them to."""
    settings = start.settings
    if servers is None:
        rules = ObjectRules(
            len(dataset.labels), settings.labels_offset, len(state.detector.anchors)
        )
        source = RecordSource(dataset.shards, skip_bad=settings.skip_bad, rules=rules)
        return source, LocalSteps(start, state, dataset, source, strategy)
    return None, RemoteSteps(
        state,
        strategy,
        servers,
        pipeline=make_pipeline(start, state, dataset, GraphRecordSource(dataset.shards)),
        workers=(settings.num_replicas or 0) - 1,
        rows=settings.global_batch_size,
        first_step=start.step,
        last_step=settings.last_step,
        stall_timeout_secs=settings.stall_timeout_secs,
    )
