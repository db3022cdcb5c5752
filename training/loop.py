"""The training loop: steps, what is written and scored between them, and how it ends."""

from deployment.cluster import Cluster
from runtime.signals import StopRequest
from runtime.watchdog import Watchdog
from training.evaluations import EvaluationOutcome, Evaluations
from training.local_steps import LocalSteps
from training.numerics import NumericsCheck
from training.profiling import StepProfiler
from training.remote_steps import RemoteSteps
from training.start import Start
from training.writer import NullWriter


class Loop:
    """Has the steps taken; what is written is the writer's business."""

    def __init__(
        self,
        start: Start,
        steps: LocalSteps | RemoteSteps,
        numerics: NumericsCheck,
        writer: NullWriter,
        cluster: Cluster,
        *,
        num_samples: int,
    ):
        """Prepares; `run` runs.

        Args:
          start: where to begin.
          steps: takes them.
          numerics: looks at each.
          writer: writes, on the chief.
          cluster: the workers.
          num_samples: images of an epoch.
        """
        self._settings, self._start, self._num_samples = start.settings, start.step, num_samples
        self._steps, self._numerics = steps, numerics
        self._writer, self._cluster = writer, cluster

    def run(self, interrupts: StopRequest, watchdog: Watchdog) -> bool:
        """Runs to the last step, an early end or a request to stop; whether the run is done.

        Args:
          interrupts: asks for a stop.
          watchdog: told of every step.
        """
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
            while (
                step < self._settings.last_step and not stop and verdict == EvaluationOutcome.GO_ON
            ):
                with profiler.step(step):
                    taken = self._steps.take(
                        stop=lambda: interrupts.received is not None,
                        drain=self._writer.save_is_due(),
                    )
                if taken is None:
                    stop = True
                    break
                batch, result = taken
                step += 1
                stop = bool(result["stop"])
                if problem := self._numerics.after_step(step, result):
                    self._writer.message(problem)
                self._writer.after_step(step, result, batch, idle=self._steps.idle)
                watchdog.beat(f"step {step}")
                if not stop or step == self._settings.last_step:
                    verdict = evaluations.after_step(step)  # which a signal ends, too
            self._writer.save(step)
        if step == self._settings.last_step:
            self._steps.finish()
        self._cluster.wait()
        stopped = verdict == EvaluationOutcome.STOPPED or (stop and step < self._settings.last_step)
        if stopped and self._cluster.is_chief:
            by = interrupts.received.name if interrupts.received else "a signal to another worker"
            saved = "saved" if step else "nothing to save yet"
            how = " Run again without --overwrite." if self._settings.overwrite else ""
            print(f"Stopped by {by} at step {step}; {saved}.{how}")
        return not stopped
