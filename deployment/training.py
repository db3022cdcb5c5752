"""The training loop: records in, checkpoints and metrics out, resumable at any step."""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping

import tf_utils
from datasets.dataset_factory import Dataset
from datasets.mixture import get_mixture
from datasets.portable_source import PortableSource
from datasets.record_source import RecordSource
from deployment import (
    hardware,
    initialization,
    model_deploy,
    parameter_server,
    run_start,
    train_and_evaluate,
    train_dir,
    train_state,
)
from deployment.cluster import Cluster, leave_when_a_peer_dies
from deployment.detector import Detector
from deployment.interrupts import Interrupts
from deployment.local_steps import LocalSteps, make_pipeline
from deployment.model_deploy import DeploymentConfig
from deployment.numerics import NumericsCheck
from deployment.parameter_server import RemoteSteps
from deployment.profiling import StepProfiler
from deployment.run_start import Start
from deployment.run_writer import NoWriter, RunWriter
from deployment.train_and_evaluate import Evaluations, Verdict
from deployment.train_settings import TrainSettings
from deployment.train_state import TrainState
from deployment.train_summaries import TrainSummaries
from deployment.watchdog import Watchdog
from errors import InputError
from nets import pretrained
from settings import changed, to_flagfile


def train(settings: TrainSettings, environment: Mapping[str, str]) -> bool:
    """Trains until the last step, an early end, or a signal that asks any worker to stop.

    A stall and the death of another worker end the process with exit code 75.

    Args:
      settings: the flags.
      environment: may name a cluster, by TF_CONFIG or SLURM's variables.

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
        parameter_server.check(settings)
        if parameter_server.is_over(settings):
            return True
    if deployment.is_server:
        return parameter_server.serve(deployment, stall_timeout_secs=settings.stall_timeout_secs)
    settings = dataclasses.replace(
        settings, num_replicas=deployment.num_replicas, num_ps_tasks=deployment.num_ps_tasks
    )
    with leave_when_a_peer_dies(deployment):
        with Watchdog(settings.stall_timeout_secs):
            servers = parameter_server.gather(deployment)
            strategy = deployment.strategy()
        # Not watched: records without a manifest are read from end to end, however long it takes.
        dataset = _dataset(settings)
        if deployment.is_chief:
            train_and_evaluate.check_split(settings, dataset.labels)
        return _train(settings, dataset, deployment, strategy, servers)


def _train(
    settings: TrainSettings, dataset: Dataset, deployment: DeploymentConfig, strategy, servers
) -> bool:
    cluster = Cluster(deployment, strategy)
    with Watchdog(settings.stall_timeout_secs) as watchdog, contextlib.ExitStack() as until:
        start = run_start.agree(settings, dataset, cluster, until=until)
        with strategy.scope():
            state = TrainState(
                start.settings,
                start.description,
                num_samples=dataset.num_samples,
                fingerprint=dataset.fingerprint,
                initializer=start.origin.initializer,
            )
        if start.step:
            _restore(state, start, cluster)
        elif start.settings.checkpoint_path:
            _import_weights(state, start, cluster)
        watchdog.beat("the network was made")
        interrupts = until.enter_context(Interrupts())
        source, steps = _steps(start, state, dataset, strategy, servers)
        numerics = NumericsCheck(start.settings, source, dataset)
        writer = NoWriter()
        if cluster.is_chief:
            if start.settings.overwrite:  # only now is all else known to be possible
                train_dir.clear(start.settings.train_dir)
            _describe_run(start, dataset, state)
            writer = _writer(start, state, strategy)
            _announce(start, state, dataset, deployment)
        loop = _Loop(start, steps, numerics, writer, cluster, num_samples=dataset.num_samples)
        return loop.run(interrupts, watchdog)


class _Loop:
    """Has the steps taken; what is written is the writer's business."""

    def __init__(
        self,
        start: Start,
        steps: LocalSteps | RemoteSteps,
        numerics: NumericsCheck,
        writer: NoWriter,
        cluster: Cluster,
        *,
        num_samples: int,
    ):
        self._settings, self._start, self._num_samples = start.settings, start.step, num_samples
        self._steps, self._numerics = steps, numerics
        self._writer, self._cluster = writer, cluster

    def run(self, interrupts: Interrupts, watchdog: Watchdog) -> bool:
        step, stop = self._start, False
        evaluations = Evaluations(
            self._settings,
            start=step,
            num_samples=self._num_samples,
            cluster=self._cluster,
            writer=self._writer,
            interrupts=interrupts,
            watchdog=watchdog,
        )
        traced = self._settings.profile_dir if self._cluster.is_chief else ""
        with self._writer, StepProfiler(traced, start=step) as profiler:
            verdict = evaluations.after_step(step)
            while step < self._settings.last_step and not stop and verdict == Verdict.GO_ON:
                with profiler.step(step):
                    taken = self._steps.take(
                        stop=lambda: interrupts.received is not None,
                        settle=self._writer.save_is_due(),
                    )
                if taken is None:
                    stop = True
                    break
                batch, result = taken
                step += 1
                stop = bool(result["stop"])
                if problem := self._numerics.after_step(step, result):
                    self._writer.message(problem)
                self._writer.after_step(step, result, batch, settled=self._steps.settled)
                watchdog.beat(f"step {step}")
                if not stop or step == self._settings.last_step:
                    verdict = evaluations.after_step(step)  # which a signal ends, too
            self._writer.save(step)
        if step == self._settings.last_step:
            self._steps.finish()
        self._cluster.wait()
        stopped = verdict == Verdict.STOPPED or (stop and step < self._settings.last_step)
        if stopped and self._cluster.is_chief:
            by = interrupts.received.name if interrupts.received else "a signal to another worker"
            saved = "saved" if step else "nothing to save yet"
            how = " Run again without --overwrite." if self._settings.overwrite else ""
            print(f"Stopped by {by} at step {step}; {saved}.{how}")
        return not stopped


def _writer(start: Start, state: TrainState, strategy) -> RunWriter:
    settings = start.settings
    summaries = TrainSummaries(
        state.detector,
        strategy,
        histograms=settings.summarize_gradients,
        images=settings.save_summaries_images,
    )
    return RunWriter(settings, start=start.step, tensors=state.tensors, summaries=summaries)


def _announce(
    start: Start, state: TrainState, dataset: Dataset, deployment: DeploymentConfig
) -> None:
    description, found, settings = start.description, start.found, start.settings
    weights = sum(v.shape.num_elements() for v in state.detector.variables_by_name.values())
    for sentence in found.skipped if found else ():
        print(f"Passed over, and renamed to *.damaged: {sentence}")
    print(
        f"{description.model_name}, {description.num_classes} classes with background, "
        f"{weights:,} parameters, {description.precision}; {dataset.num_samples} pictures of "
        f"{dataset.name} {dataset.split}; seed {settings.seed}{deployment.summary}."
    )
    if found:
        print(f"Resuming from {found.path}.")
    for warning in (
        initialization.without_effect(settings, found and found.path),
        train_state.warn_of_schedule(settings, num_samples=dataset.num_samples),
    ):
        if warning:
            print(warning)


def _restore(state: TrainState, start: Start, cluster: Cluster) -> None:
    tensors = start.found.tensors if start.found else {}
    cluster.decide(state.check_fits(tensors) if start.found else None)
    state.restore(cluster.share(tensors, state.variables()))


def _import_weights(state: TrainState, start: Start, cluster: Cluster) -> None:
    """The chief reads another checkpoint; every worker gets the weights from the chief."""
    refusal, weights = None, state.detector.variables_by_name
    try:
        plan = initialization.initialize(state.detector, start.origin)
    except InputError as error:
        plan, refusal = None, error
    cluster.decide(refusal)
    values = {name: variable.numpy() for name, variable in weights.items()}
    state.begin_with(cluster.share(values, weights))
    if plan:
        counts = ", ".join(f"{plan.count(action)} {action}" for action in pretrained.ACTIONS)
        print(f"Starting from {start.settings.checkpoint_path}: variables {counts}.")
        for note in filter(None, (*plan.notes, start.origin.note)):
            print(note)


def _dry_run(settings: TrainSettings) -> bool:
    """Prints where each variable would start from; writes nothing."""
    origin = initialization.find_origin(settings)
    dataset = _dataset(settings)
    settings, description = train_state.resolve(
        settings, dataset.labels, None, origin, num_samples=dataset.num_samples
    )
    print(initialization.describe_plan(Detector(description), origin, settings))
    return True


def _describe_run(start: Start, dataset: Dataset, state: TrainState) -> None:
    settings = start.settings
    settings_of_all = dataclasses.replace(settings, task=None, job_name=None, overwrite=False)
    train_dir.write_text(settings.train_dir, train_dir.FLAGS, to_flagfile(settings_of_all))
    train_dir.write_text(settings.train_dir, train_dir.LABELS, dataset.labels)
    if not start.found:
        tf_utils.print_configuration(
            changed(settings_of_all),
            state.detector.layers,
            save=functools.partial(
                train_dir.write_text, settings.train_dir, train_dir.CONFIGURATION
            ),
        )


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
            f"--num_classes={settings.num_classes} differs from the {len(dataset.labels)} labels "
            f"of {dataset.name} and background: drop the flag, or mend the labels."
        )
    return dataset


def _steps(
    start: Start, state: TrainState, dataset: Dataset, strategy, servers
) -> tuple[RecordSource | None, LocalSteps | RemoteSteps]:
    """Who takes the steps: this process, from a source, or workers that it hands them to."""
    settings = start.settings
    if servers is None:
        source = RecordSource(dataset.shards, skip_bad=settings.skip_bad)
        return source, LocalSteps(start, state, dataset, source, strategy)
    return None, RemoteSteps(
        state,
        strategy,
        servers,
        pipeline=make_pipeline(start, state, dataset, PortableSource(dataset.shards)),
        workers=(settings.num_replicas or 0) - 1,
        rows=settings.global_batch_size,
        first_step=start.step,
        last_step=settings.last_step,
        stall_timeout_secs=settings.stall_timeout_secs,
    )
