"""Things that are compared: each a process of its own, taking its turn in every round.

No library's threads then spin in another's time, and peak memory is one contender's alone. Ratios
are medians over the rounds of the ratio within a round, since speeds drift on shared machines.
"""

import functools
import glob
import importlib.util
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from runtime.errors import InputError

Name = TypeVar("Name")
_PEAK = "peak memory"


class Contender(NamedTuple):
    """What a contender's process can be asked for.

    Attributes:
      calls: what is timed, by name; each returns when its results are there.
      note: what a reader has to know of it.
    """

    calls: Mapping[str, Callable[..., Any]]
    note: str = ""


class Turn(NamedTuple):
    """One call: seconds by the clock, seconds of the processor, and what it returned if numbers."""

    seconds: float
    processor: float
    result: Any


class Process:
    """A contender in a process of its own.

    Attributes:
      calls: names of what it can be asked for; none where it could not be made.
      note: its note, or why it could not be made.
    """

    def __init__(self, make: Callable[[], Contender], *, pinned: bool = False):
        """Starts the process and waits until `make` has run in it.

        Args:
          make: can be pickled; raises ImportError or InputError where something is missing.
          pinned: to one core.
        """
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, pinned), daemon=True)
        self._process.start()
        theirs.close()
        self.calls, self.note = self._link.recv()

    def take_turn(self, call: str, *args) -> Turn:
        """Makes a call and waits for its end."""
        self._link.send((call, args))
        return self._link.recv()

    def measure(self, call: str, *args) -> float:
        """Seconds that one call takes."""
        return self.take_turn(call, *args).seconds

    def peak_memory(self) -> int:
        """Bytes of memory that the process has had at most."""
        return self.take_turn(_PEAK).result

    def close(self) -> None:
        """Ends the process."""
        self._link.send(None)
        self._process.join()


def _serve(link: Connection, make: Callable[[], Contender], pinned: bool) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if pinned:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        cv2.setNumThreads(1)
    try:
        contender = make()
    except (ImportError, InputError) as error:
        contender = Contender({}, f"not here: {error}")
    link.send((tuple(contender.calls), contender.note))
    for name, args in iter(link.recv, None):
        call = _peak_memory if name == _PEAK else contender.calls[name]
        start, processor = time.perf_counter(), time.process_time()
        result = call(*args)
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
        link.send(Turn(seconds, processor, result if _is_plain(result) else None))


def _is_plain(result: Any) -> bool:
    """Whether it may go through the pipe: libraries' own types would be imported at its end."""
    values = result if type(result) is tuple else (result,)
    return all(isinstance(value, int | float) for value in values)


def _peak_memory() -> int:
    """Of this process, bytes; getrusage would count what its parent had when it forked."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        return 1024 * int(re.findall(r"^VmHWM:\s*(\d+) kB", file.read(), re.MULTILINE)[0])


def start(makers: Mapping[str, Callable[[], Contender]]) -> dict[str, Process]:
    """Starts contenders, prints their notes, and returns those that work."""
    running = {}
    for name, make in makers.items():
        process = Process(make)
        print(f"{name:<35} {process.note}", flush=True)
        if process.calls:
            running[name] = process
        else:
            process.close()
    return running


def in_turn(
    running: Mapping[Name, Process], call: str, *args, rounds: int, warm: int = 1
) -> dict[Name, list[float]]:
    """Seconds of `call`, by contender and round; each contender is called once in every round.

    Args:
      running: the contenders.
      call: which of their calls.
      *args: of the call.
      rounds: how many.
      warm: calls of each before that: the first builds, and the second may still allocate.
    """
    for process in running.values():
        for _ in range(warm):
            process.measure(call, *args)
    seconds: dict[Name, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, process in running.items():
            seconds[name].append(process.measure(call, *args))
    return seconds


def all_in_turn(
    processes: Sequence[Process], *, rounds: int, leave_out: str = ""
) -> dict[str, list[Turn]]:
    """Turns of every call of every contender but one call, by name and round; one more warms up."""
    cases = [(process, call) for process in processes for call in process.calls]
    cases = [(process, call) for process, call in cases if call != leave_out]
    turns: dict[str, list[Turn]] = {call: [] for _, call in cases}
    for number in range(1 + rounds):
        for process, call in cases:
            turn = process.take_turn(call)
            if number:
                turns[call].append(turn)
    return turns


def ratio(seconds: Sequence[float], others: Sequence[float]) -> float:
    """How many times as long as `others` something takes: the median over rounds."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))


def machine() -> str:
    """The processor's name and the cores that this process may use."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    except OSError:
        names = []
    cores = len(os.sched_getaffinity(0))
    return f"{names[0] if names else 'unknown processor'}, {cores} cores"


def set_up_tensorflow() -> str:
    """Leaves GPU memory to the other contenders; returns TensorFlow's version and its device."""
    import tensorflow as tf

    from runtime import hardware

    hardware.set_up_gpu_memory(None)
    name = "CPU"
    if gpus := tf.config.list_physical_devices("GPU"):
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return f"tensorflow {tf.__version__}, {name}"


def find_torch_device() -> tuple[str, str]:
    """Where torch computes, "cuda" if it can, and its version and device."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if kind == "cuda" else "CPU"
    return kind, f"torch {torch.__version__}, {name}"


def import_torchvision() -> tuple[Any, str]:
    """torchvision and what suppresses: where its operators do not load beside torch, OpenCV."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("No module named 'torchvision'")
    folder = spec.submodule_search_locations[0]
    try:
        for path in glob.glob(os.path.join(folder, "_C*.so")):
            torch.ops.load_library(path)
        import torchvision
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # declared, or the import fails
        with open(os.path.join(folder, "_meta_registrations.py")) as file:
            names = set(re.findall(r'register_fake\("torchvision::(\w+)"\)', file.read()))
        for name in names - {"nms"}:
            library.define(f"{name}(Tensor x) -> Tensor")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision

        torchvision.ops.boxes.nms = functools.partial(_suppress_by_opencv, library=library)
        return torchvision, "OpenCV's suppression"
    return torchvision, "its own suppression"


def _suppress_by_opencv(boxes, scores, iou_threshold: float, *, library):
    """What torchvision.ops.nms gives; `library` has to live as long as the operators in it."""
    import torch

    corners = boxes.cpu().numpy().astype(np.float64)
    rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(rectangles, scores.cpu().numpy(), 0.0, iou_threshold)
    return torch.tensor(np.asarray(kept, np.int64).reshape(-1), device=boxes.device)
