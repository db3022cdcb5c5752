"""The training loop: records in, checkpoints and metrics out, resumable at any step."""

import time
from collections.abc import Iterator

import tensorflow as tf

from datasets import dataset_factory, input_pipeline
from datasets.dataset_factory import Dataset
from deployment import checkpoints, hardware, initialization, train_dir, train_state
from deployment.detector import Detector
from deployment.initialization import Start
from deployment.interrupts import Interrupts
from deployment.model_deploy import DeploymentConfig
from deployment.progress import Progress
from deployment.train_settings import TrainSettings
from deployment.train_state import TrainState
from deployment.train_step import Batch
from errors import InputError
from nets import matching, pretrained
from preprocessing import preprocessing_factory
from settings import to_flagfile

MAX_NON_FINITE = 5


def train(settings: TrainSettings) -> bool:
    """Trains until the last step, or until a signal asks to stop.

    Returns:
      Whether the last step was taken; False after a signal, with a checkpoint saved.

    Raises:
      InputError: flags, data or an earlier run do not allow it.
    """
    hardware.let_gpu_memory_grow()
    strategy = _deployment(settings).strategy()
    dataset = _dataset(settings)
    start = initialization.find_start(settings)
    if settings.dry_run:
        settings, description = train_state.resolve(settings, dataset.labels, None, start)
        print(initialization.describe_plan(Detector(description), start, settings))
        return True
    with train_dir.locked(settings.train_dir):
        if settings.overwrite:
            train_dir.clear(settings.train_dir)
        found = checkpoints.newest(settings.train_dir)
        settings, description = train_state.resolve(
            settings, dataset.labels, found and found.tensors, start
        )
        with strategy.scope():
            state = TrainState(
                settings,
                description,
                num_samples=dataset.num_samples,
                initializer=start.initializer,
            )
        _begin(state, found, start, settings)
        train_dir.write_text(settings.train_dir, train_dir.FLAGS, to_flagfile(settings))
        train_dir.write_text(settings.train_dir, train_dir.LABELS, dataset.labels)
        with Interrupts() as interrupts:
            return _Loop(settings, state, dataset, strategy, found).run(interrupts)


def _begin(state: TrainState, found, start: Start, settings: TrainSettings) -> None:
    """Gives the network its weights: of the run that is resumed, or of its start."""
    if found:
        state.restore(found.tensors)
        if settings.checkpoint_path:
            print(initialization.overruled(settings, found.path))
        return
    plan = initialization.initialize(state.detector, start)
    if plan and start.request:
        counts = ", ".join(f"{plan.count(action)} {action}" for action in pretrained.ACTIONS)
        print(f"Starting from {start.request.checkpoint_path}: variables {counts}.")
        for note in filter(None, (*plan.notes, start.note)):
            print(note)


class _Loop:
    """Asks after each step what is due."""

    def __init__(
        self, settings: TrainSettings, state: TrainState, dataset: Dataset, strategy, found
    ):
        self._settings, self._state = settings, state
        self._source = input_pipeline.RecordSource(dataset.shards)
        self._batches = _batches(settings, state, self._source, strategy, found)
        self._start = found.step if found else 0
        self._log = train_dir.MetricsLog(settings.train_dir, step=self._start)
        self._events = tf.summary.create_file_writer(settings.train_dir)
        self._progress = Progress(
            settings.max_number_of_steps,
            "training",
            start=self._start,
            log_every=settings.log_every_n_steps,
        )
        self._bad_steps = 0
        now = time.monotonic()
        self._saved = self._summarised = self._logged = now
        self._saved_step = self._logged_step = self._start
        self._announce(dataset, found)

    def run(self, interrupts: Interrupts) -> bool:
        step = self._start
        with self._progress:
            while step < self._settings.last_step and not interrupts.received:
                result = self._take_step()
                step += 1
                self._after_step(step, result)
            if step > self._saved_step:
                self._save(step)
        self._log.close()
        self._events.close()
        if interrupts.received and step < self._settings.last_step:
            print(f"Stopped by {interrupts.received.name} at step {step}; saved.")
        return step == self._settings.last_step

    def _take_step(self) -> dict[str, tf.Tensor]:
        try:
            return self._state.step(next(self._batches))
        except tf.errors.OpError as error:
            if self._source.error:
                raise self._source.error from error
            raise

    def _after_step(self, step: int, result: dict[str, tf.Tensor]) -> None:
        self._check_finite(step, result)
        last = step == self._settings.last_step
        if last or step % self._settings.log_every_n_steps == 0:
            self._write_metrics(step, result, last)
        if time.monotonic() - self._saved >= self._settings.save_interval_secs:
            self._save(step)

    def _check_finite(self, step: int, result: dict[str, tf.Tensor]) -> None:
        """Counts updates that were left out because their gradient was not finite."""
        if result["finite"].numpy():
            self._bad_steps = 0
            return
        self._bad_steps += 1
        self._progress.message(f"Step {step}: the gradient is not finite; update left out.")
        if self._bad_steps == MAX_NON_FINITE:
            raise InputError(
                f"The gradient was not finite in {MAX_NON_FINITE} steps up to {step}: lower "
                "--learning_rate, or pass --clip_gradient_norm=10 and --slow_start_step=500."
            )

    def _write_metrics(self, step: int, result: dict[str, tf.Tensor], last: bool) -> None:
        values = {name: float(value) for name, value in result.items() if name != "finite"}
        now = time.monotonic()
        pictures = (step - self._logged_step) * self._settings.global_batch_size
        values["images_per_second"] = pictures / (now - self._logged)
        self._logged, self._logged_step = now, step
        self._log.write({"step": step, **values})
        self._progress.update(
            step,
            loss=values["loss"],
            learning_rate=values["learning_rate"],
            images_per_second=values["images_per_second"],
        )
        if last or now - self._summarised >= self._settings.save_summaries_secs:
            self._summarised = now
            with self._events.as_default(step=step):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
            self._events.flush()

    def _save(self, step: int) -> None:
        self._log.flush()
        checkpoints.save(self._settings.train_dir, step, self._state.tensors())
        checkpoints.keep_newest(self._settings.train_dir, self._settings.max_to_keep)
        self._saved, self._saved_step = time.monotonic(), step

    def _announce(self, dataset: Dataset, found: checkpoints.Found | None) -> None:
        description = self._state.description
        weights = sum(
            v.shape.num_elements() for v in self._state.detector.variables_by_name.values()
        )
        for sentence in found.skipped if found else ():
            print(f"Passed over: {sentence}")
        print(
            f"{description.model_name}, {description.num_classes} classes with background, "
            f"{weights:,} parameters, {description.precision}; {dataset.num_samples} pictures of "
            f"{dataset.name} {dataset.split}; seed {self._settings.seed}."
        )
        if found:
            print(f"Resuming from {found.path}.")


def _deployment(settings: TrainSettings) -> DeploymentConfig:
    return DeploymentConfig(num_clones=settings.num_clones, clone_on_cpu=settings.clone_on_cpu)


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


def _batches(settings, state, source, strategy, found) -> Iterator[Batch]:
    """The strategy's iterator over this worker's batches, from the step to go on with."""
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

    def pipeline(context: tf.distribute.InputContext) -> tf.data.Dataset:
        rows = settings.global_batch_size // context.num_input_pipelines
        batches = input_pipeline.training_batches(
            source,
            preprocess=preprocess,
            match=match,
            batch_size=settings.batch_size,
            share=input_pipeline.Share(
                settings.global_batch_size, context.input_pipeline_id * rows, rows
            ),
            seed=settings.seed,
            first_step=found.step if found else 0,
            last_step=settings.last_step,
            shuffle=settings.shuffle,
            use_difficult=settings.use_difficult,
            labels_offset=settings.labels_offset,
            num_threads=settings.num_preprocessing_threads,
        )
        return batches.map(Batch)

    return iter(strategy.distribute_datasets_from_function(pipeline))
