"""The training loop: records in, checkpoints and metrics out, resumable at any step."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from datasets import dataset_factory, input_pipeline
from datasets.dataset_factory import Dataset
from deployment import (
    hardware,
    initialization,
    model_deploy,
    parameter_server,
    run_start,
    train_dir,
    train_state,
)
from deployment.cluster import Cluster, leave_when_a_peer_dies
from deployment.detector import Detector
from deployment.interrupts import Interrupts
from deployment.model_deploy import DeploymentConfig
from deployment.run_start import Start
from deployment.run_writer import NoWriter, RunWriter
from deployment.train_settings import TrainSettings
from deployment.train_state import TrainState
from deployment.train_step import Batch
from deployment.watchdog import Watchdog
from errors import InputError
from nets import matching, pretrained
from preprocessing import preprocessing_factory
from settings import to_flagfile

MAX_NON_FINITE = 5


def train(settings: TrainSettings, environment: Mapping[str, str]) -> bool:
    """Trains until the last step, or until a signal asks any worker to stop.

    A stall and the death of another worker end the process with exit code 75.

    Args:
      settings: the flags.
      environment: may name a cluster, by TF_CONFIG or SLURM's variables.

    Returns:
      Whether the last step was taken; False after a signal, with a checkpoint saved.

    Raises:
      InputError: flags, data or an earlier run do not allow it.
    """
    hardware.let_gpu_memory_grow()
    if settings.dry_run:
        return _dry_run(settings)
    deployment = _deployment(settings, environment)
    if deployment.is_server:
        return parameter_server.serve(deployment, stall_timeout_secs=settings.stall_timeout_secs)
    settings = dataclasses.replace(
        settings, num_replicas=deployment.num_replicas, num_ps_tasks=deployment.num_ps_tasks
    )
    with (
        Watchdog(settings.stall_timeout_secs) as watchdog,
        leave_when_a_peer_dies(deployment.num_replicas),
    ):
        return _train(settings, deployment, watchdog)


def _train(settings: TrainSettings, deployment: DeploymentConfig, watchdog: Watchdog) -> bool:
    servers = parameter_server.gather(deployment)
    strategy = deployment.strategy()
    watchdog.beat("the workers met")
    cluster = Cluster(deployment, strategy)
    dataset = _dataset(settings)
    with contextlib.ExitStack() as until:
        start = run_start.agree(settings, dataset, cluster, until=until)
        with strategy.scope():
            state = TrainState(
                start.settings,
                start.description,
                num_samples=dataset.num_samples,
                initializer=start.origin.initializer,
            )
        if start.step:
            _restore(state, start, cluster)
        elif start.settings.checkpoint_path:
            _import_weights(state, start, cluster)
        if cluster.is_chief:
            _describe_run(start.settings, dataset)
        watchdog.beat("the network was made")
        interrupts = until.enter_context(Interrupts())
        steps = _steps(start, state, dataset, strategy, servers)
        return _Loop(start, state, dataset, steps, cluster).run(interrupts, watchdog)


class _OwnSteps:
    """Steps that this process takes itself, in step with other workers if there are any."""

    settled = True

    def __init__(self, start: Start, state: TrainState, dataset: Dataset, strategy):
        self._state = state
        self._source = input_pipeline.RecordSource(dataset.shards)
        self._batches = _batches(start, state, self._source, strategy)

    def take(self, *, stop: Callable[[], bool], settle: bool) -> dict[str, tf.Tensor]:
        """Takes a step; see `parameter_server.RemoteSteps`, which has the same methods."""
        del settle
        try:
            return self._state.step(next(self._batches), stop=stop())
        except tf.errors.OpError as error:
            if self._source.error:
                raise self._source.error from error
            raise

    def finish(self) -> None:
        """Ends nothing: every worker knows the last step."""


class _Loop:
    """Has the steps taken; what is written is the writer's business."""

    def __init__(self, start: Start, state: TrainState, dataset: Dataset, steps, cluster):
        self._settings, self._start, self._steps = start.settings, start.step, steps
        self._cluster = cluster
        self._writer = NoWriter()
        self._bad_steps = 0
        if cluster.is_chief:
            self._writer = RunWriter(start.settings, start=start.step, tensors=state.tensors)
            _announce(start, state, dataset)

    def run(self, interrupts: Interrupts, watchdog: Watchdog) -> bool:
        step, stop = self._start, False
        with self._writer:
            while step < self._settings.last_step and not stop:
                result = self._steps.take(
                    stop=lambda: interrupts.received is not None,
                    settle=self._writer.save_is_due(),
                )
                if result is None:
                    stop = True
                    break
                step += 1
                stop = bool(result["stop"])
                self._check_finite(step, result)
                self._writer.after_step(step, result, settled=self._steps.settled)
                watchdog.beat(f"step {step}")
            self._writer.save(step)
        if step == self._settings.last_step:
            self._steps.finish()
        self._cluster.wait()
        if stop and step < self._settings.last_step and self._cluster.is_chief:
            by = interrupts.received.name if interrupts.received else "a signal to another worker"
            print(f"Stopped by {by} at step {step}; saved.")
        return step == self._settings.last_step

    def _check_finite(self, step: int, result: dict[str, tf.Tensor]) -> None:
        """Counts updates that were left out because their gradient was not finite."""
        if result["finite"]:
            self._bad_steps = 0
            return
        self._bad_steps += 1
        self._writer.message(f"Step {step}: the gradient is not finite; update left out.")
        if self._bad_steps == MAX_NON_FINITE:
            raise InputError(
                f"The gradient was not finite in {MAX_NON_FINITE} steps up to {step}: lower "
                "--learning_rate, or pass --clip_gradient_norm=10 and --slow_start_step=500."
            )


def _announce(start: Start, state: TrainState, dataset: Dataset) -> None:
    description, found, settings = start.description, start.found, start.settings
    weights = sum(v.shape.num_elements() for v in state.detector.variables_by_name.values())
    for sentence in found.skipped if found else ():
        print(f"Passed over: {sentence}")
    workers = f"; {settings.num_replicas} workers" if settings.num_replicas != 1 else ""
    if settings.num_ps_tasks:
        takers = (settings.num_replicas or 0) - 1
        workers = f"; asynchronous, workers: {takers}, parameter servers: {settings.num_ps_tasks}"
    print(
        f"{description.model_name}, {description.num_classes} classes with background, "
        f"{weights:,} parameters, {description.precision}; {dataset.num_samples} pictures of "
        f"{dataset.name} {dataset.split}; seed {settings.seed}{workers}."
    )
    if found:
        print(f"Resuming from {found.path}.")
        if settings.checkpoint_path:
            print(initialization.overruled(settings, found.path))


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
    for name, value in cluster.share(values, weights).items():
        weights[name].assign(value)
    if plan:
        counts = ", ".join(f"{plan.count(action)} {action}" for action in pretrained.ACTIONS)
        print(f"Starting from {start.settings.checkpoint_path}: variables {counts}.")
        for note in filter(None, (*plan.notes, start.origin.note)):
            print(note)


def _dry_run(settings: TrainSettings) -> bool:
    """Prints where each variable would start from; writes nothing."""
    origin = initialization.find_origin(settings)
    labels = _dataset(settings).labels
    settings, description = train_state.resolve(settings, labels, None, origin)
    print(initialization.describe_plan(Detector(description), origin, settings))
    return True


def _describe_run(settings: TrainSettings, dataset: Dataset) -> None:
    settings_of_all = dataclasses.replace(settings, task=None, job_name=None)
    train_dir.write_text(settings.train_dir, train_dir.FLAGS, to_flagfile(settings_of_all))
    train_dir.write_text(settings.train_dir, train_dir.LABELS, dataset.labels)


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
    dataset = dataset_factory.get_dataset(
        settings.dataset_name,
        settings.dataset_split_name,
        settings.dataset_dir,
        labels_file=settings.labels_file,
    )
    if settings.num_classes not in (None, len(dataset.labels) + 1):
        raise InputError(
            f"--num_classes={settings.num_classes} differs from the {len(dataset.labels)} labels "
            f"of {dataset.name} and background: drop the flag, or mend the labels."
        )
    return dataset


def _steps(start: Start, state: TrainState, dataset: Dataset, strategy, servers):
    """Who takes the steps: this process, or workers that it hands them to."""
    if servers is None:
        return _OwnSteps(start, state, dataset, strategy)
    settings = start.settings
    return parameter_server.RemoteSteps(
        state,
        strategy,
        servers,
        pipeline=_pipeline(start, state, input_pipeline.PortableSource(dataset.shards)),
        workers=(settings.num_replicas or 0) - 1,
        rows=settings.global_batch_size,
        first_step=start.step,
        last_step=settings.last_step,
    )


def _batches(start: Start, state: TrainState, source, strategy) -> Iterator[Batch]:
    """The strategy's iterator over this worker's batches, from the step to go on with."""
    pipeline, size = _pipeline(start, state, source), start.settings.global_batch_size

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = size // context.num_input_pipelines
        share = input_pipeline.Share(size, context.input_pipeline_id * rows, rows)
        return pipeline(share, start.step)

    return iter(strategy.distribute_datasets_from_function(of_worker))


def _pipeline(start: Start, state: TrainState, source) -> Callable[..., tf.data.Dataset]:
    """(Share, first step) -> this worker's batches."""
    settings = start.settings
    preprocessing = preprocessing_factory.get_preprocessing(
        settings.preprocessing_name or settings.model_name
    )
    detector = state.detector

    def preprocess(encoded, boxes, labels, *, seed):
        if settings.augment:
            return preprocessing.for_train(encoded, boxes, labels, seed=seed)
        return preprocessing.without_augmentation(encoded, boxes, labels)

    def match(boxes, labels):
        return matching.match(
            boxes,
            labels,
            detector.anchors,
            threshold=settings.match_threshold,
            prior_scaling=detector.parameters.prior_scaling,
        )

    def pipeline(share: input_pipeline.Share, first_step: int | tf.Tensor) -> tf.data.Dataset:
        batches = input_pipeline.training_batches(
            source,
            preprocess=preprocess,
            match=match,
            batch_size=settings.batch_size,
            share=share,
            seed=settings.seed or 0,
            first_step=first_step,
            last_step=settings.last_step,
            shuffle=settings.shuffle,
            use_difficult=settings.use_difficult,
            labels_offset=settings.labels_offset,
            num_threads=settings.num_preprocessing_threads,
        )
        # Endless, though the end is never reached: under several workers a data set that may end
        # costs a collective a step, to learn whether it has.
        return batches.map(Batch).repeat()

    return pipeline
