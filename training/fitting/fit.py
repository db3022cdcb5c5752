"""Makes a detector of a folder of annotated images: `fit_ssd_network.py` as a call.

Each part of it is also a script that can be run alone: inspect_dataset.py, tf_convert_data.py,
train_ssd_network.py, eval_ssd_network.py, detect_ssd_network.py and export_ssd_network.py. What was
chosen stands in `fit.json`, so that the same command resumes with the same choices.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from detection import detect
from detection.settings import DetectSettings
from detection.sources import PictureFiles
from evaluation.evaluate import evaluate_checkpoint
from evaluation.settings import EvalSettings
from export.export import export
from export.settings import ExportSettings
from model import checkpoints, train_dir
from model.detector import Detector
from model.train_dir import SCORES
from runtime import files
from runtime.errors import InputError
from runtime.progress import Progress, shown
from runtime.settings import changed, given_in
from runtime.words import counted
from training.fitting import data as fit_data
from training.fitting import plan as fit_plan
from training.fitting.data import NAME, FitData
from training.fitting.settings import FitSettings
from training.settings import TrainSettings
from training.train import train

STATE = "fit.json"
_TRIAL_STEPS = 12
_START_SECS = 30.0  # until a training's first step, and of the last evaluation and drawings
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Flags that may differ when a fit is resumed: they change nothing of what was chosen.
_MAY_CHANGE = {"input", "output_dir", "export", "minutes"}


class Fitted(NamedTuple):
    """A detector that was made.

    Attributes:
      metrics: the scores, as `eval/metrics.json` has them.
      checkpoint: the best one; the last where none has a score.
      output_dir: folder of all that was written.
    """

    metrics: dict[str, Any]
    checkpoint: str
    output_dir: str


def fit(settings: FitSettings, environment: Mapping[str, str]) -> Fitted | None:
    """Inspects, divides, converts, trains, scores, draws and exports.

    Args:
      settings: the flags.
      environment: of the training, which may name a cluster.

    Returns:
      None where a signal stopped the training; the same call resumes it.

    Raises:
      InputError: the data would harm a training, or flags or output_dir do not allow it.
    """
    began = time.monotonic()
    folder = settings.output_dir
    files.make_folder(folder, given=f"--output_dir={folder}")
    state = _read_state(settings)
    if state:
        print(f"Resuming what was begun in {folder} (its choices are in {STATE}).")
        data = FitData(**state["data"])
        plan = given_in(TrainSettings, shlex.join(state["training"]), flag=STATE)
    else:
        data, plan = _begin(settings, began)
    training = TrainSettings(**plan)
    _title("training", training.train_dir)
    if not train(training, environment):
        return None
    _title("scores", f"on {data.num_images[data.test]} images of {data.test}")
    best = checkpoints.resolve(training.train_dir)
    metrics = _evaluate(settings, data, best)
    _title("detections", os.path.join(folder, "detections"))
    _detect(settings, data, best)
    if settings.export:
        _title("export", os.path.join(folder, "export"))
        _export(settings, best)
    _say_the_end(settings, data, metrics, best)
    return Fitted(metrics, best, folder)


def _title(what: str, where: str) -> None:
    print(f"\n== {what}: {where}", flush=True)


def _begin(settings: FitSettings, began: float) -> tuple[FitData, dict[str, Any]]:
    """Makes the records and the plan of a new fit, and writes them down."""
    folder = settings.output_dir
    _refuse_used(folder)
    network = fit_plan.choose_network(settings)
    # What --train_flags says is refused before the data are read, which takes long.
    _ = TrainSettings(train_dir=folder, dataset_dir=folder, **settings.given_to_training())
    _title("data", settings.input)
    whole, parts = fit_data.open_parts(settings, report=print)
    found = fit_data.inspect_source(whole, settings, model_name=network.name)
    data = fit_data.write_records(whole, parts, settings, report=print, progress=shown)
    counts = ", ".join(f"{counted(n, 'image')} in {name}" for name, n in data.num_images.items())
    objects, classes = counted(len(found.names), "object"), counted(len(found.labels), "class")
    print(f"records: {counts}; {objects} of {classes}")
    plan = fit_plan.choose(settings, network, data, found)
    speed, left = None, 0.0
    if settings.minutes and "max_number_of_steps" not in plan.settings:
        speed = _images_per_second(plan.settings)
        left = settings.minutes * 60 - (time.monotonic() - began) - _START_SECS
    plan = fit_plan.with_length(plan, settings, data, images_per_second=speed, seconds=left)
    _title("choices", "each can be given by a flag")
    for reason in plan.reasons:
        print(f"  {reason}")
    _write_state(settings, data, TrainSettings(**plan.settings))
    return data, plan.settings


def _images_per_second(chosen: dict[str, Any]) -> float:
    """How fast the training is here: a few steps of it, in a process of their own.

    Raises:
      InputError: it does not run.
    """
    print(f"timing {_TRIAL_STEPS} steps, to know how many there is time for", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        these = {"train_dir": folder, "max_number_of_steps": _TRIAL_STEPS, "log_every_n_steps": 1}
        whole = {name: v for name, v in chosen.items() if not name.startswith("eval_")}
        trial = TrainSettings(**{**whole, **these})
        script = os.path.join(_ROOT, "train_ssd_network.py")
        done = subprocess.run(
            [sys.executable, script, *changed(trial)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": _ROOT},
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise InputError(f"A trial of the training ended with {done.returncode}: {said[0]}")
        with open(os.path.join(folder, train_dir.METRICS)) as file:
            lines = [json.loads(line) for line in file]
    return float(np.median([line["images_per_second"] for line in lines[_TRIAL_STEPS // 2 :]]))


def _evaluate(settings: FitSettings, data: FitData, best: str) -> dict[str, Any]:
    folder = settings.output_dir
    evaluation = EvalSettings(
        checkpoint_path=best,
        eval_dir=os.path.join(folder, "eval"),
        dataset_name=NAME,
        dataset_split_name=data.test,
        dataset_dir=os.path.join(folder, "records"),
        report_dir=os.path.join(folder, "report"),
    )
    evaluate_checkpoint(evaluation)
    with open(os.path.join(evaluation.eval_dir, "metrics.json")) as file:
        return json.load(file)


def _detect(settings: FitSettings, data: FitData, best: str) -> None:
    """Draws detections on images that were not trained on, as far as they are still there."""
    paths = [path for path in data.shown if os.path.exists(path)]
    if not paths:
        print(f"The images of {data.test} are gone: nothing drawn.")
        return
    wanted = DetectSettings(
        checkpoint_path=best,
        input=settings.input,
        output_dir=os.path.join(settings.output_dir, "detections"),
    )
    source = PictureFiles(paths)
    with Progress(source.total, "detecting", unit="images", log_seconds=10.0) as progress:
        detector = Detector.from_checkpoint(best)
        summary = detect.run(detector, source, wanted, progress=progress)
    print(f"{summary.pictures} images of {data.test}, {summary.detections} detections")


def _export(settings: FitSettings, best: str) -> None:
    folder = os.path.join(settings.output_dir, "export")
    names = export(ExportSettings(checkpoint_path=best, export_dir=folder, format=settings.export))
    print(", ".join(names))


def _say_the_end(
    settings: FitSettings, data: FitData, metrics: Mapping[str, Any], best: str
) -> None:
    folder = settings.output_dir
    _title("done", f"step {metrics['step']} is the best, by its score on {data.val}")
    there = [name for name in SCORES if name in metrics]
    scores = ", ".join(f"{name} {_shown(metrics[name])}" for name in there)
    print(f"  {scores}")
    images = counted(metrics["num_images"], "image")
    print(f"  on {images} of {data.test}; by class in the table above")
    if data.test == data.val:
        print("  (the checkpoint was chosen on these images, which flatters it a little)")
    for name, what in (
        ("report/index.html", "scores, curves, errors and images; data.html: the data"),
        ("detections/", "images with what was found"),
        ("eval/metrics.json", "the scores"),
        (os.path.relpath(best, folder), "the checkpoint; train/ has its curves for TensorBoard"),
        *((("export/", ", ".join(settings.export)),) if settings.export else ()),
    ):
        print(f"  {os.path.join(folder, name)}: {what}")
    run, exported = (shlex.quote(path) for path in (folder, os.path.join(folder, "export")))
    print("Next:")
    print(f"  detect_ssd_network.py --checkpoint_path={run} --input=PHOTOS --output_dir=found")
    if not settings.export:
        print(f"  export_ssd_network.py --checkpoint_path={run} --export_dir={exported}")


def _shown(score: float | None) -> str:
    """A score, or that there is none: no object counts."""
    return "none" if score is None else f"{score:.3f}"


def _refuse_used(folder: str) -> None:
    """Refuses a folder whose training is not a fit's."""
    if os.path.exists(os.path.join(folder, "train", train_dir.FLAGS)):
        raise InputError(
            f"--output_dir={folder} holds a training that no {STATE} tells of: give a new folder."
        )


def _asked(settings: FitSettings) -> dict[str, Any]:
    """What a resumed fit must be asked for again, as JSON gives it back."""
    facts = {k: v for k, v in vars(settings).items() if k not in _MAY_CHANGE}
    facts["input"] = os.path.abspath(settings.input)
    return json.loads(json.dumps(facts))


def _write_state(settings: FitSettings, data: FitData, training: TrainSettings) -> None:
    state = {
        "asked": _asked(settings),
        "data": data._asdict(),
        "training": changed(training),
    }
    text = json.dumps(state, indent=1, ensure_ascii=False) + "\n"
    with files.explain_write_errors(settings.output_dir):
        files.write(os.path.join(settings.output_dir, STATE), text.encode())


def _read_state(settings: FitSettings) -> dict[str, Any] | None:
    """What an earlier call wrote down; None where there is none.

    Raises:
      InputError: it was asked for something else, or the file cannot be understood.
    """
    path = os.path.join(settings.output_dir, STATE)
    if not os.path.exists(path):
        return None
    try:
        state = json.loads(files.read(path))
        earlier = dict(state["asked"])
        state["data"]["shown"] = tuple(state["data"]["shown"])
        _ = FitData(**state["data"]), list(state["training"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} cannot be understood ({error}): give a new --output_dir, or remove this one."
        ) from error
    now = _asked(settings)
    for name, value in now.items():
        if earlier.get(name) != value:
            raise InputError(
                f"--{name}={value} is not what was begun in --output_dir={settings.output_dir} "
                f"({earlier.get(name) or 'not given'}): keep to that, or give a new --output_dir."
            )
    return state
