"""Where a run begins: a new one, or the newest good checkpoint in train_dir.

The chief locks train_dir, looks and decides; the other workers are told. Workers that were started
with other flags or see other data are refused, because they would train another network or read
another order.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

import tf_utils
from datasets.dataset_factory import Dataset
from deployment.cluster import Cluster
from deployment.model_deploy import DeploymentConfig
from model import checkpoints, train_dir
from model.checkpoints import LoadedCheckpoint
from model.description import Description
from nets import pretrained
from runtime import files, hardware
from runtime.errors import InputError, is_outage
from runtime.settings import changed, idle, to_flagfile
from training import initial_weights, preflight
from training import state as train_state
from training.initial_weights import InitialWeights, find_initial_weights
from training.settings import ResolvedSettings, TrainSettings
from training.state import TrainState

_OF_EACH_WORKER = (
    *("task", "job_name", "train_dir", "overwrite", "dataset_dir", "num_readers"),
    *("num_preprocessing_threads", "data_service"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The beginning of a run, the same on every worker but for `found`.

    Attributes:
      settings: with all filled in that was left to the program.
      description: of the network.
      step: steps made before.
      found: the checkpoint to resume from; None on a new run and on other workers than the chief.
      origin: where the weights of a new run come from; told to the chief alone, and empty where
        the run continues.
    """

    settings: ResolvedSettings
    description: Description
    step: int
    found: LoadedCheckpoint | None
    origin: InitialWeights


def check_overwrite(settings: TrainSettings, environment: Mapping[str, str]) -> None:
    """Refuses to start over where this process may be the restart of the very run it would clear.

    Whoever writes TF_CONFIG (the launcher, Kubernetes) starts workers again by the same command,
    and SLURM does when it queues a job again.

    Raises:
      InputError: --overwrite in such an environment.
    """
    requeued = environment.get("SLURM_RESTART_COUNT", "0") not in ("", "0")
    if settings.overwrite and (requeued or environment.get("TF_CONFIG", "").strip()):
        raise InputError(
            "--overwrite would start over at every restart where "
            f"{'SLURM queues a job again' if requeued else 'TF_CONFIG names the workers'}: remove "
            f"--train_dir={settings.train_dir} instead, or give a new one."
        )


def agree(
    settings: TrainSettings, dataset: Dataset, cluster: Cluster, *, until: contextlib.ExitStack
) -> Start:
    """Decides on the chief and tells the others.

    Args:
      settings: as the flags say.
      dataset: to train on.
      cluster: the workers.
      until: holds the chief's lock on train_dir.

    Raises:
      InputError: flags, data or an earlier run do not allow a start. What --overwrite will clear
        is untouched yet.
    """
    if not cluster.is_chief:
        return _follow(settings, dataset, cluster.decide(None))
    try:
        start = _decide(settings, dataset, until)
    except InputError as error:
        if is_outage(error):  # no refusal: the others end as after a failure
            raise
        return cluster.decide(error)
    cluster.decide(
        {"step": start.step, "settings": _plain(start.settings), "data": _data_facts(dataset)}
    )
    return start


def begin(state: TrainState, start: Start, cluster: Cluster) -> None:
    """Gives every worker's new state the weights of the checkpoint that it begins with, if any.

    Raises:
      InputError: the chief cannot read it, or it does not fit.
    """
    if start.step:
        tensors = start.found.tensors if start.found else {}
        cluster.decide(state.check_fits(tensors) if start.found else None)
        state.restore(cluster.share(tensors, state.variables()))
    elif start.settings.checkpoint_path:
        _import_weights(state, start, cluster)


def _import_weights(state: TrainState, start: Start, cluster: Cluster) -> None:
    """The chief reads another checkpoint; every worker gets the weights from the chief."""
    refusal, weights = None, state.detector.variables_by_name
    try:
        plan = initial_weights.initialize(state.detector, start.origin)
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


def _decide(settings: TrainSettings, dataset: Dataset, until: contextlib.ExitStack) -> Start:
    until.enter_context(train_dir.locked(settings.train_dir))
    checkpoints.refuse_foreign(settings.train_dir)
    found = None if settings.overwrite else _find(settings.train_dir)
    origin = (
        InitialWeights() if found else find_initial_weights(settings)
    )  # a used train_dir wins over weights
    if settings.overwrite:
        _refuse_clearing_source(settings, origin)
    elif not found and settings.seed is None:  # it ended before its first checkpoint, if it began
        seed = train_dir.read_number(settings.train_dir, "seed")
        settings = dataclasses.replace(settings, seed=seed)
    resolved, description = train_state.resolve(
        settings,
        dataset.labels,
        found and found.tensors,
        origin,
        num_samples=dataset.num_samples,
        fingerprint=dataset.fingerprint,
    )
    return Start(
        settings=resolved,
        description=description,
        step=found.step if found else 0,
        found=found,
        origin=origin,
    )


def _find(folder: str) -> LoadedCheckpoint | None:
    """The checkpoint to resume from; damaged ones and leftovers of killed saves are put away."""
    found = checkpoints.newest(folder)
    if found:
        checkpoints.quarantine_unreadable(folder, after=found.step)
    for each in (folder, tf.io.gfile.join(folder, train_dir.BEST)):
        checkpoints.remove_leftovers(each)
    return found


def _refuse_clearing_source(settings: TrainSettings, origin: InitialWeights) -> None:
    source = origin.request.checkpoint_path if origin.request else ""
    if source and train_dir.clears(settings.train_dir, source):
        raise InputError(
            f"--checkpoint_path={settings.checkpoint_path} is in --train_dir={settings.train_dir}, "
            "which --overwrite clears: copy the checkpoint elsewhere, or give a new --train_dir."
        )


def _follow(settings: TrainSettings, dataset: Dataset, decision: dict[str, Any]) -> Start:
    own, chiefs = _plain(settings), decision["settings"]
    filled_in = {
        name: chiefs[name]
        for name in ("seed", "precision", "input_scale", "anchors", "batch_norm")
        if own[name] in (None, "auto")
    }
    _refuse_other_flags({**own, **filled_in}, chiefs)
    if _data_facts(dataset) != decision["data"]:
        raise InputError(
            f"--dataset_dir={settings.dataset_dir} holds other records than the chief's (here "
            f"{len(dataset.labels)} labels, {dataset.num_samples} images, checksum "
            f"{dataset.fingerprint}): copy the chief's records."
        )
    resolved = ResolvedSettings.fill_in(
        settings,
        seed=chiefs["seed"],
        precision=chiefs["precision"],
        input_scale=chiefs["input_scale"],
        anchors=chiefs["anchors"],
        batch_norm=chiefs["batch_norm"],
    )
    return Start(
        settings=resolved,
        description=train_state.describe(resolved, dataset.labels),
        step=decision["step"],
        found=None,
        origin=InitialWeights(),
    )


def _refuse_other_flags(own: dict[str, Any], chiefs: dict[str, Any]) -> None:
    for name, value in chiefs.items():
        if name not in _OF_EACH_WORKER and own[name] != value:
            raise InputError(
                f"--{name}={own[name]} differs from the chief's {value}: start every worker with "
                "the same flags."
            )


def _plain(settings: TrainSettings) -> dict[str, Any]:
    """The settings as they look after a journey through JSON."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def _data_facts(dataset: Dataset) -> list[Any]:
    return [list(dataset.labels), dataset.num_samples, dataset.fingerprint]


def announce(
    start: Start, state: TrainState, dataset: Dataset, deployment: DeploymentConfig
) -> None:
    """Prints what is trained on what, and where it resumes from."""
    description, found, settings = start.description, start.found, start.settings
    weights = sum(v.shape.num_elements() for v in state.detector.variables_by_name.values())
    for sentence in found.skipped if found else ():
        print(f"Skipped, and renamed to *.damaged: {sentence}")
    device = hardware.describe_device(clones=deployment.num_clones, on_cpu=deployment.clone_on_cpu)
    place = "" if deployment.num_ps_tasks else f" on {device}"  # there the workers compute
    print(
        f"{description.model_name}, {description.num_classes} classes with background, "
        f"{weights:,} parameters, {description.precision}{place}; {dataset.num_samples} images "
        f"of {dataset.name} {dataset.split}; seed {settings.seed}{deployment.summary}."
    )
    if found:
        print(f"Resuming from {found.path}.")
    for warning in (
        initial_weights.without_effect(settings, found and found.path),
        train_state.warn_of_schedule(settings, num_samples=dataset.num_samples),
        *preflight.warnings(settings, dataset),
        *idle(settings),
    ):
        if warning:
            print(warning)


def describe(start: Start, dataset: Dataset, state: TrainState) -> None:
    """Writes flags.txt, which repeats the run, labels.txt, and of a new run its layers.

    A run that is over already keeps its own.

    Raises:
      InputError: they could not be written.
    """
    settings = start.settings
    if start.found and start.step >= settings.last_step:
        return
    settings_of_all = dataclasses.replace(settings, task=None, job_name=None, overwrite=False)
    files.write_text(settings.train_dir, train_dir.FLAGS, to_flagfile(settings_of_all))
    files.write_text(settings.train_dir, train_dir.LABELS, dataset.labels)
    if not start.found:
        lines = tf_utils.format_configuration(changed(settings_of_all), state.detector.layers)
        files.write_text(settings.train_dir, train_dir.CONFIGURATION, lines)
