"""Times detection, network and decoding and suppression, beside torchvision's SSD and ONNX Runtime.

    python -m benchmarks.inference [--rounds=9] [--batches=1,8] [--candidates=400]

Every contender is a process of its own with all cores, so that no library's threads spin in
another's time, and takes its turn in every round; ratios are medians over rounds of the ratio
within a round, since speeds drift on shared machines. What is not installed says so in its row:
torch and torchvision, and onnxruntime with tf2onnx, are no dependencies of this project.

All networks are SSD-300 VGG with 21 classes. Weights are random, and the score threshold is set
for each so that equally many candidates a picture enter the suppression: time would otherwise
depend on what the weights happen to say. The thresholds on counts and overlap are equal too.
"""

import argparse
import functools
import glob
import importlib.util
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np

from errors import InputError

_SIDE, _CLASSES, _TOP_K, _KEPT, _OVERLAP = 300, 21, 400, 200, 0.45
_PARTS = ("network", "whole")


class Contender(NamedTuple):
    """Something that detects on the first b of the same pictures.

    Attributes:
      network: b -> anything, the network alone.
      whole: b -> anything, with decoding and suppression.
      note: what a reader has to know of it.
    """

    network: Callable[[int], Any]
    whole: Callable[[int], Any]
    note: str = ""


def make_pictures(count: int) -> np.ndarray:
    """f32[count, 300, 300, 3], RGB from 0 to 255: smooth noise."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (count, 12, 12, 3), np.uint8)
    smooth = [cv2.resize(one, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return np.stack(smooth).astype(np.float32)


def threshold_for(scores: np.ndarray, candidates: int) -> float:
    """The score that `candidates` a picture exceed on average; f32[B, A, C - 1]."""
    place = min(candidates * len(scores), scores.size - 1)
    return float(np.partition(scores.ravel(), -1 - place)[-1 - place])


def _detector(precision: str):
    from deployment.description import Description
    from deployment.detector import Detector

    labels = tuple(f"class_{number}" for number in range(1, _CLASSES))
    description = Description(model_name="ssd_300_vgg", labels=labels, input_scale=1 / 58)
    return Detector(description, precision=precision)


def ours(pictures: np.ndarray, candidates: int, *, precision: str) -> Contender:
    """This project's detector, as `detect_ssd_network.py` runs it."""
    import tensorflow as tf

    from deployment import hardware
    from preprocessing.ssd_vgg_preprocessing import RGB_MEANS

    detector = _detector(precision)
    predict = tf.function(detector.predict, autograph=False, reduce_retracing=True)

    def inputs(batch: int) -> tf.Tensor:
        return tf.constant(pictures[:batch] - np.float32(RGB_MEANS))

    scores = tf.nn.softmax(predict(inputs(len(pictures))).logits)[..., 1:].numpy()
    thresholds = {"select_threshold": threshold_for(scores, candidates), "nms_threshold": _OVERLAP}

    def network(batch: int) -> list[np.ndarray]:
        return [value.numpy() for value in predict(inputs(batch))]

    def whole(batch: int) -> list[np.ndarray]:
        found = detector.detect_inputs(
            inputs(batch), select_top_k=_TOP_K, keep_top_k=_KEPT, **thresholds
        )
        return [value.numpy() for value in found]

    emulated = precision == "bfloat16" and not hardware.cpu_has_bfloat16()
    note = ", bfloat16 emulated: this processor has none" if emulated else ""
    return Contender(network, whole, f"tensorflow {tf.__version__}{note}")


def onnx_runtime(pictures: np.ndarray, candidates: int) -> Contender:
    """The ONNX export of the same weights; what follows the network is `deployment.exported`'s."""
    import onnxruntime

    from deployment import export_onnx, exported

    detector = _detector("float32")
    with tempfile.TemporaryDirectory() as folder:
        export_onnx.write(detector, folder)
        session = onnxruntime.InferenceSession(os.path.join(folder, export_onnx.NAME))
    anchors, scaling = detector.anchors.numpy(), detector.parameters.prior_scaling

    def network(batch: int) -> list[np.ndarray]:
        return session.run(["logits", "offsets"], {"images": pictures[:batch]})

    powers = np.exp(network(len(pictures))[0])
    scores = (powers / powers.sum(-1, keepdims=True))[..., 1:]
    suppress = functools.partial(
        exported.postprocess,
        select_threshold=threshold_for(scores, candidates),
        select_top_k=_TOP_K,
        nms_threshold=_OVERLAP,
        keep_top_k=_KEPT,
    )

    def whole(batch: int) -> list:
        return [
            suppress(logits, exported.decode(offsets, anchors, scaling))
            for logits, offsets in zip(*network(batch), strict=True)
        ]

    return Contender(network, whole, f"onnxruntime {onnxruntime.__version__}, NumPy suppression")


def torchvision_ssd(pictures: np.ndarray, candidates: int, *, bfloat16: bool) -> Contender:
    """torchvision's ssd300_vgg16: called as it ships, or its network in bfloat16, channels last."""
    import torch

    torchvision, note = _import_torchvision()
    model = torchvision.models.detection.ssd300_vgg16(
        weights=None,
        weights_backbone=None,
        num_classes=_CLASSES,
        nms_thresh=_OVERLAP,
        topk_candidates=_TOP_K,
        detections_per_img=_KEPT,
    ).eval()
    images = torch.tensor(pictures.transpose(0, 3, 1, 2) / 255)
    if bfloat16:
        model = model.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def network(batch: int):
        inputs = model.transform(list(images[:batch]))[0]  # normalised
        if bfloat16:
            inputs.tensors = inputs.tensors.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features = list(model.backbone(inputs.tensors).values())
            outputs = {name: value.float() for name, value in model.head(features).items()}
        return inputs, features, outputs

    @torch.inference_mode()
    def whole(batch: int):
        if not bfloat16:
            return model(list(images[:batch]))
        inputs, features, outputs = network(batch)
        anchors = model.anchor_generator(inputs, features)
        return model.postprocess_detections(outputs, anchors, inputs.image_sizes)

    scores = network(len(pictures))[2]["cls_logits"].softmax(-1)[..., 1:].numpy()
    model.score_thresh = threshold_for(scores, candidates)
    return Contender(network, whole, f"torch {torch.__version__}, {note}")


def _import_torchvision() -> tuple[Any, str]:
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

    corners = boxes.numpy().astype(np.float64)
    rectangles = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(rectangles, scores.numpy(), 0.0, iou_threshold)
    return torch.tensor(np.asarray(kept, np.int64).reshape(-1))


CONTENDERS: dict[str, Callable[[np.ndarray, int], Contender]] = {
    "this project, bfloat16": functools.partial(ours, precision="bfloat16"),
    "this project, float32": functools.partial(ours, precision="float32"),
    "torchvision, as shipped": functools.partial(torchvision_ssd, bfloat16=False),
    "torchvision, bfloat16 channels last": functools.partial(torchvision_ssd, bfloat16=True),
    "ONNX Runtime, float32": onnx_runtime,
}


def serve(link: Connection, name: str, most: int, candidates: int) -> None:
    """One contender's process: sends its note, then for every (part, batch) its seconds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        contender = CONTENDERS[name](make_pictures(most), candidates)
    except (ImportError, InputError) as error:
        link.send((False, f"not installed: {error}"))
        return
    link.send((True, contender.note))
    for part, batch in iter(link.recv, None):
        start = time.perf_counter()
        getattr(contender, part)(batch)
        link.send(time.perf_counter() - start)


def start(
    name: str, most: int, candidates: int
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    """Starts a contender's process; the other end of its pipe."""
    context = multiprocessing.get_context("spawn")
    link, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, name, most, candidates), daemon=True)
    process.start()
    theirs.close()
    return process, link


def measure(link: Connection, part: str, batch: int) -> float:
    """Seconds a picture of one call."""
    link.send((part, batch))
    return link.recv() / batch


def machine() -> str:
    """The processor's name and its cores here."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.MULTILINE)
    except OSError:
        names = []
    return f"{names[0] if names else 'unknown processor'}, {os.cpu_count()} cores"


def main(argv: Sequence[str] | None = None) -> None:
    """Prints medians over the rounds and how the contenders compare with the first."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")])
    options.add_argument("--candidates", type=int, default=400, help="a picture, of all classes")
    options.add_argument("--contenders", default=",".join(map(str, range(len(CONTENDERS)))))
    given = options.parse_args(argv)
    batches = given.batches or [1, 8]
    names = [list(CONTENDERS)[int(number)] for number in given.contenders.split(",")]
    print(f"{machine()}; {given.rounds} rounds, {given.candidates} candidates a picture")
    running = {}
    for name in names:
        process, link = start(name, max(batches), given.candidates)
        works, note = link.recv()
        print(f"{name:<36}{note}")
        if works:
            running[name] = process, link
    for batch in batches:
        _compare({name: link for name, (_, link) in running.items()}, batch, given.rounds)
    for process, link in running.values():
        link.send(None)
        process.join()


def _compare(links: dict[str, Connection], batch: int, rounds: int) -> None:
    cases = [(name, part) for part in _PARTS for name in links]
    for name, part in cases:
        measure(links[name], part, batch)  # the first call builds and warms
    seconds = {case: [] for case in cases}
    for _ in range(rounds):
        for name, part in cases:
            seconds[name, part].append(measure(links[name], part, batch))
    print(f"\nbatch {batch:<30}{'network':>12}{'ratio':>8}{'whole':>12}{'ratio':>8}")
    for name in links:
        cells = []
        for part in _PARTS:
            own, first = seconds[name, part], seconds[next(iter(links)), part]
            ratio = statistics.median(a / b for a, b in zip(own, first, strict=True))
            cells.append(f"{statistics.median(own):>10.4f} s{ratio:>8.2f}")
        print(f"{name:<36}{''.join(cells)}")


if __name__ == "__main__":
    main()
