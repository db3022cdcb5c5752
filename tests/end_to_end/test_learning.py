"""Every optimizer and every schedule, trained for 50 steps on drawn shapes: the loss falls."""

import json

import numpy as np
import pytest

from optimization import names
from training.settings import TrainSettings
from training.train import train

# optimizer: (schedule, learning rate)
RUNS = {
    "sgd": ("fixed", 0.003),
    "momentum": ("step", 0.001),
    "adam": ("cosine", 0.001),
    "adamw": ("poly", 0.001),
    "rmsprop": ("exponential", 0.0003),
    "adagrad": ("polynomial", 0.01),
    "adadelta": ("fixed", 1.0),
    "ftrl": ("exponential", 0.01),
}


def test_every_optimizer_and_schedule_has_a_run():
    assert {*RUNS} == {*names.OPTIMIZERS}
    assert {decay for decay, _ in RUNS.values()} == {*names.LEARNING_RATE_DECAY_TYPES}


@pytest.mark.parametrize(
    "optimizer",
    [
        "momentum",
        *(pytest.param(name, marks=pytest.mark.slow) for name in RUNS if name != "momentum"),
    ],
)
def test_loss_falls_in_fifty_steps(optimizer, records, tmp_path):
    decay, rate = RUNS[optimizer]
    settings = TrainSettings(
        train_dir=str(tmp_path),
        dataset_dir=str(records),
        dataset_name="shapes",
        seed=3,
        depth_multiplier=0.0625,
        precision="float32",
        batch_size=2,
        max_number_of_steps=50,
        log_every_n_steps=1,
        clip_gradient_norm=10.0,
        optimizer=optimizer,
        learning_rate=rate,
        learning_rate_decay_type=decay,
        learning_rate_decay_boundaries=(30,),
        end_learning_rate=rate / 10,
        decay_steps=20,
    )
    assert train(settings, {})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = np.array([line["loss_classification"] + line["loss_localisation"] for line in lines])
    assert len(losses) == 50
    assert losses[-10:].mean() < 0.9 * losses[:10].mean()
    rates = np.array([line["learning_rate"] for line in lines])
    assert (rates[-1] < rates[0]) is np.bool_(decay != "fixed")
