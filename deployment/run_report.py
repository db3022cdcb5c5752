"""What a run says of itself when it begins, on the terminal and in train_dir."""

import dataclasses
import functools

import tf_utils
from datasets.dataset_factory import Dataset
from deployment import hardware, initialization, train_dir, train_state
from deployment.model_deploy import DeploymentConfig
from deployment.run_start import Start
from deployment.train_state import TrainState
from settings import changed, to_flagfile


def announce(
    start: Start, state: TrainState, dataset: Dataset, deployment: DeploymentConfig
) -> None:
    """Prints what is trained on what, and where it goes on from."""
    description, found, settings = start.description, start.found, start.settings
    weights = sum(v.shape.num_elements() for v in state.detector.variables_by_name.values())
    for sentence in found.skipped if found else ():
        print(f"Passed over, and renamed to *.damaged: {sentence}")
    device = hardware.describe_device(clones=deployment.num_clones, on_cpu=deployment.clone_on_cpu)
    place = "" if deployment.num_ps_tasks else f" on {device}"  # there the workers compute
    print(
        f"{description.model_name}, {description.num_classes} classes with background, "
        f"{weights:,} parameters, {description.precision}{place}; {dataset.num_samples} pictures "
        f"of {dataset.name} {dataset.split}; seed {settings.seed}{deployment.summary}."
    )
    if found:
        print(f"Resuming from {found.path}.")
    for warning in (
        initialization.without_effect(settings, found and found.path),
        train_state.warn_of_schedule(settings, num_samples=dataset.num_samples),
        *settings.idle,
    ):
        if warning:
            print(warning)


def describe(start: Start, dataset: Dataset, state: TrainState) -> None:
    """Writes flags.txt, which repeats the run, and labels.txt; of a new run prints the network.

    A run that is over already keeps its own.

    Raises:
      InputError: they could not be written.
    """
    settings = start.settings
    if start.found and start.step >= settings.last_step:
        return
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
