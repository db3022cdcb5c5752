"""One training step: forward, loss, gradients, update, on every replica.

Losses are sums over a replica's images divided by the positives of the **global** batch, and
gradients are summed over replicas: k clones of batch b take the step that one clone of batch k * b
takes, and so does one clone that accumulates k batches, since all their positives are counted
before the first. Weight decay comes from the variables, once, never from a collection that every
clone adds to.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from datasets.input_pipeline import Batch
from model.detector import Detector, count_positives
from nets import losses
from optimization.accumulation import sum_over_parts
from optimization.averages import MovingAverages
from optimization.loss_scale import LossScale
from optimization.optimizers import Optimizer
from optimization.schedules import Schedule

GRADIENT = "/gradient"  # behind a variable's name, in a step's result


class StepOptions(NamedTuple):
    """What a step does besides descending; the fields but `loss` are flags."""

    loss: losses.Loss = losses.MULTIBOX
    loss_normalizer: str = "matches"
    weight_decay: float = 0.0
    clip_gradient_norm: float = 0.0
    accumulate_steps: int = 1
    check_numerics: bool = True
    summarize_gradients: bool = False
    jit: bool = False
    batch_norm: str | None = "trained"


def is_decayed(name: str) -> bool:
    """Whether weight decay acts on a variable: on weights, not on biases and scales."""
    return name.endswith("/weights")


class TrainStep(tf.Module):
    """The compiled step. Make it inside `strategy.scope()`.

    Attributes:
      step: i64 variable, updates made so far.
    """

    def __init__(
        self,
        detector: Detector,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        trained: dict[str, tf.Variable],
        options: StepOptions,
        averages: MovingAverages | None = None,
        multipliers: Mapping[str, float] | None = None,
        loss_scale: LossScale | None = None,
    ):
        """Compiles nothing yet.

        Args:
          detector: the network.
          optimizer: of the trained variables.
          schedule: the learning rate.
          trained: the variables that are trained, by name.
          options: what the step does besides.
          averages: moved after every update.
          multipliers: factors on the gradients of some variables, before any clipping.
          loss_scale: of float16; its overflows leave the update out.
        """
        super().__init__(name="train_step")
        self._strategy = tf.distribute.get_strategy()
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False, name="global_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )  # fmt: skip
        self._detector, self._optimizer, self._schedule = detector, optimizer, schedule
        self._trained, self._options, self._averages = trained, options, averages
        self._multipliers, self._loss_scale = dict(multipliers or {}), loss_scale
        self._decayed = [variable for name, variable in trained.items() if is_decayed(name)]
        self._run = tf.function(self._run_replicas, autograph=False)
        # What XLA compiles lies between two all-reductions, which it does not have on every device.
        self._differentiate = (
            tf.function(self._gradients_and_losses, autograph=False, jit_compile=True)
            if options.jit
            else self._gradients_and_losses
        )

    def __call__(self, batch: Batch, *, stop: bool = False) -> dict[str, tf.Tensor]:
        """Takes one step.

        Args:
          batch: of this process: each replica's share, where a strategy distributed it.
          stop: whether this worker was asked to stop.

        Returns:
          f32 scalars, the same on every worker: loss, loss_PART for each part of the loss,
          loss_regularisation, learning_rate, positives, gradient_norm, finite (1 when loss and
          gradient are, without which check_numerics leaves the update out; also when a gradient
          overflowed because of its scale alone), stop (above 0 when any worker was asked to stop).
          With summarize_gradients also VARIABLE/gradient, as applied; with float16 loss_scale.
        """
        return self._run(batch, tf.constant(float(stop)))

    def _run_replicas(self, batch: Batch, stop: tf.Tensor) -> dict[str, tf.Tensor]:
        with self._strategy.scope():
            results = self._strategy.run(self._replica_step, args=(batch, stop))
            self.step.assign_add(1)
        values = {
            name: self._strategy.experimental_local_results(value)[0]
            for name, value in results.items()
        }
        if self._loss_scale:
            with self._strategy.scope():
                self._loss_scale.after_step(values.pop("overflowed"))
        parts = [values[f"loss_{part}"] for part in (*self._options.loss.parts, "regularisation")]
        return {"loss": tf.add_n(parts), **values}

    def _replica_step(self, batch: Batch, stop: tf.Tensor) -> dict[str, tf.Tensor]:
        (counts,) = _sum_over_replicas([tf.stack([count_positives(batch.targets), stop])])
        positives, stop = tf.unstack(counts)
        own = self._differentiate(batch, self._normalizer(positives, batch))
        # One call: a worker's collectives cost a round each, the losses none beside the gradients.
        sums = _sum_over_replicas(own)
        count = len(self._trained)
        gradients, summed, state = sums[:count], sums[count], sums[count + 1 :]
        gradients = self._multiply(self._decay(gradients))
        norm = tf.linalg.global_norm(gradients)
        rate = self._schedule(self.step)
        regularisation = self._regularisation()
        finite_loss = tf.reduce_all(tf.math.is_finite([regularisation, *tf.unstack(summed)]))
        finite_norm = tf.math.is_finite(norm)
        scaling = self._scaling(finite_loss, finite_norm)
        overflowed = scaling.get("overflowed", tf.constant(False))
        finite = finite_loss & finite_norm
        keep = finite if self._options.check_numerics else ~overflowed
        step = tf.identity(self.step)
        gradients = self._clip(gradients, norm)
        self._optimizer.apply(gradients, rate=rate, step=step, keep=keep)
        self._update_state(state, keep=keep)
        if self._averages:
            self._averages.apply(step=step, keep=keep)
        return {
            **{f"loss_{part}": summed[k] for k, part in enumerate(self._options.loss.parts)},
            "loss_regularisation": regularisation,
            "learning_rate": rate,
            "positives": positives,
            "gradient_norm": norm,
            "finite": tf.cast(finite | overflowed, tf.float32),
            "stop": stop,
            **scaling,
            **self._summarised(gradients),
        }

    def _update_state(self, sums: list[tf.Tensor], *, keep: tf.Tensor) -> None:
        """Assigns the mean over replicas and parts of what each makes of the state."""
        count = self._strategy.num_replicas_in_sync * self._options.accumulate_steps
        for variable, value in zip(self._detector.state_by_name.values(), sums, strict=True):
            variable.assign(tf.where(keep, value / count, variable))

    def _scaling(self, finite_loss: tf.Tensor, finite_norm: tf.Tensor) -> dict[str, tf.Tensor]:
        if not self._loss_scale:
            return {}
        overflowed = self._loss_scale.is_overflow(loss=finite_loss, gradient=finite_norm)
        return {"loss_scale": tf.identity(self._loss_scale.value), "overflowed": overflowed}

    def _summarised(self, gradients: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        if not self._options.summarize_gradients:
            return {}
        return {f"{name}{GRADIENT}": g for name, g in zip(self._trained, gradients, strict=True)}

    def _gradients_and_losses(self, batch: Batch, normalizer: tf.Tensor) -> list[tf.Tensor]:
        """Gradients of the trained variables, f32[P] parts of the loss, what state becomes."""
        losses_shape = tf.TensorShape([len(self._options.loss.parts)])
        trained, state = self._trained.values(), self._detector.state_by_name.values()
        shapes = [*(each.shape for each in trained), losses_shape, *(each.shape for each in state)]
        return sum_over_parts(
            lambda part: self._of_part(part, normalizer),
            batch,
            parts=self._options.accumulate_steps,
            shapes=shapes,
        )

    def _of_part(self, batch: Batch, normalizer: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(list(self._trained.values()))
            predictions, updates = self._predict(batch.images)
            parts = self._detector.loss(
                predictions,
                batch.targets,
                normalizer=normalizer,
                loss=self._options.loss,
                step=self.step,
            )
            loss = tf.add_n(list(parts.values()))
            if self._loss_scale:
                loss *= self._loss_scale.value
        gradients = tape.gradient(loss, list(self._trained.values()))
        if self._loss_scale:
            gradients = [gradient / self._loss_scale.value for gradient in gradients]
        summed = tf.stack([parts[name] for name in self._options.loss.parts])
        state = self._detector.state_by_name.items()
        return [*gradients, summed, *(updates.get(name, tf.identity(old)) for name, old in state)]

    def _predict(self, images: tf.Tensor) -> tuple[losses.Predictions, dict[str, tf.Tensor]]:
        if self._options.batch_norm != "frozen":
            return self._detector.predict_in_training(images)
        return self._detector.predict(images), {}

    def _normalizer(self, positives: tf.Tensor, batch: Batch) -> tf.Tensor:
        """What the global batch's sums are divided by."""
        if self._options.loss_normalizer == "matches":
            return tf.maximum(1.0, positives)
        pictures = tf.shape(batch.images)[0] * self._strategy.num_replicas_in_sync
        return tf.cast(pictures, tf.float32)

    def _decay(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Adds the gradient of the regularisation loss."""
        if not self._options.weight_decay:
            return gradients
        return [
            gradient + self._options.weight_decay * variable if is_decayed(name) else gradient
            for (name, variable), gradient in zip(self._trained.items(), gradients, strict=True)
        ]

    def _multiply(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        return [
            self._multipliers[name] * gradient if name in self._multipliers else gradient
            for name, gradient in zip(self._trained, gradients, strict=True)
        ]

    def _regularisation(self) -> tf.Tensor:
        if not self._options.weight_decay:
            return tf.constant(0.0)
        return self._options.weight_decay * losses.l2(self._decayed)

    def _clip(self, gradients: list[tf.Tensor], norm: tf.Tensor) -> list[tf.Tensor]:
        if not self._options.clip_gradient_norm:
            return gradients
        clipped, _ = tf.clip_by_global_norm(
            gradients, self._options.clip_gradient_norm, use_norm=norm
        )
        return clipped


def _sum_over_replicas(values: list[tf.Tensor]) -> list[tf.Tensor]:
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
