"""Times detection, network and decoding and suppression, beside torchvision's SSD and ONNX Runtime.

    python -m benchmarks.inference [--rounds=9] [--batches=1,8] [--candidates=400]
        [--model_name=ssd_300_vgg,ssdlite_300_mobilenet_v2]

Contenders take turns as `benchmarks/_contenders.py` says. What is not installed says so in its row:
torch and torchvision, and onnxruntime with tf2onnx, are no dependencies of this project.

All networks have 21 classes; torchvision's is ssd300_vgg16 beside VGG, and beside SSDLite
ssdlite320_mobilenet_v3_large. Weights are random, and the score threshold is set for each so that
equally many candidates an image enter the suppression: time would otherwise depend on what the
weights happen to say. The thresholds on counts and overlap are equal too.
"""

import argparse
import functools
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import _contenders, _networks
from benchmarks._contenders import Contender, import_torchvision
from benchmarks._scenes import make_pictures

_CLASSES, _TOP_K, _KEPT, _OVERLAP = 21, 400, 200, 0.45
_PARTS = ("network", "whole")


def threshold_for(scores: np.ndarray, candidates: int) -> float:
    """The score that `candidates` an image exceed on average; f32[B, A, C - 1]."""
    place = min(candidates * len(scores), scores.size - 1)
    return float(np.partition(scores.ravel(), -1 - place)[-1 - place])


def _detector(precision: str, model_name: str):
    import tensorflow as tf

    from model.description import Description
    from model.detector import Detector
    from nets import nets_factory

    scale = nets_factory.get_network(model_name).input_scale
    labels = tuple(f"class_{number}" for number in range(1, _CLASSES))
    description = Description(model_name=model_name, labels=labels, input_scale=scale)
    detector = Detector(description, precision=precision)
    for name, variable in detector.variables_by_name.items():
        if name.endswith(("biases", "beta")):  # zeros would be optimised away
            variable.assign(tf.random.stateless_normal(variable.shape, (0, 1), stddev=0.01))
    detector.freeze()
    return detector


def ours(
    pictures: np.ndarray, candidates: int, *, precision: str, model_name: str = _networks.DEFAULT
) -> Contender:
    """This project's detector, as `detect_ssd_network.py` runs it."""
    import tensorflow as tf

    from runtime import hardware

    note = _contenders.set_up_tensorflow()
    detector = _detector(precision, model_name)
    predict = tf.function(
        functools.partial(detector.predict, frozen=True), autograph=False, reduce_retracing=True
    )

    def inputs(batch: int) -> tf.Tensor:
        return tf.constant(pictures[:batch] - np.float32(detector.preprocessing.rgb_means))

    scores = tf.nn.softmax(predict(inputs(len(pictures))).logits)[..., 1:].numpy()
    thresholds = {"select_threshold": threshold_for(scores, candidates), "nms_threshold": _OVERLAP}

    def network(batch: int) -> list[np.ndarray]:
        return [value.numpy() for value in predict(inputs(batch))]

    def whole(batch: int) -> list[np.ndarray]:
        found = detector.detect_inputs(
            inputs(batch), select_top_k=_TOP_K, keep_top_k=_KEPT, **thresholds
        )
        return [value.numpy() for value in found]

    if precision == "bfloat16" and note.endswith("CPU") and not hardware.cpu_has_bfloat16():
        note += ", bfloat16 emulated: this processor has none"
    return Contender({"network": network, "whole": whole}, note)


def onnx_runtime(
    pictures: np.ndarray, candidates: int, *, model_name: str = _networks.DEFAULT
) -> Contender:
    """The ONNX export of the same weights; what follows the network is this project's."""
    import onnxruntime
    import tensorflow as tf

    from export import onnx
    from model import exported
    from nets.losses import Predictions

    _contenders.set_up_tensorflow()
    detector = _detector("float32", model_name)
    with tempfile.TemporaryDirectory() as folder:
        onnx.write(detector, folder)
        session = onnxruntime.InferenceSession(os.path.join(folder, exported.ONNX))

    def network(batch: int) -> list[np.ndarray]:
        return session.run(["logits", "offsets"], {"images": pictures[:batch]})

    scores = tf.nn.softmax(network(len(pictures))[0])[..., 1:].numpy()
    thresholds = {"select_threshold": threshold_for(scores, candidates), "nms_threshold": _OVERLAP}
    suppress = tf.function(detector.postprocess, autograph=False, reduce_retracing=True)

    def whole(batch: int) -> list[np.ndarray]:
        predictions = Predictions(*map(tf.constant, network(batch)))
        found = suppress(predictions, select_top_k=_TOP_K, keep_top_k=_KEPT, **thresholds)
        return [value.numpy() for value in found]

    return Contender(
        {"network": network, "whole": whole},
        f"onnxruntime {onnxruntime.__version__}, TensorFlow's suppression",
    )


def torchvision_ssd(
    pictures: np.ndarray, candidates: int, *, bfloat16: bool, model_name: str = _networks.DEFAULT
) -> Contender:
    """torchvision's beside a network: called as it ships, or in bfloat16, channels last."""
    import torch

    torchvision, suppression = import_torchvision()
    device, note = _contenders.find_torch_device()
    model, name = _networks.torchvision_model(
        torchvision,
        model_name,
        num_classes=_CLASSES,
        nms_thresh=_OVERLAP,
        topk_candidates=_TOP_K,
        detections_per_img=_KEPT,
    )
    model = model.eval().to(device)
    images = torch.tensor(pictures.transpose(0, 3, 1, 2) / 255, device=device)
    if bfloat16:
        model = model.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def predict(batch: int):
        inputs = model.transform(list(images[:batch]))[0]  # normalised
        if bfloat16:
            inputs.tensors = inputs.tensors.to(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            features = list(model.backbone(inputs.tensors).values())
            outputs = {name: value.float() for name, value in model.head(features).items()}
        return inputs, features, outputs

    def network(batch: int) -> dict[str, np.ndarray]:
        return {name: value.cpu().numpy() for name, value in predict(batch)[2].items()}

    @torch.inference_mode()
    def whole(batch: int) -> list[np.ndarray]:
        if not bfloat16:
            found = model(list(images[:batch]))
        else:
            inputs, features, outputs = predict(batch)
            anchors = model.anchor_generator(inputs, features)
            found = model.postprocess_detections(outputs, anchors, inputs.image_sizes)
        return [each["boxes"].cpu().numpy() for each in found]

    logits = predict(len(pictures))[2]["cls_logits"]
    model.score_thresh = threshold_for(logits.softmax(-1)[..., 1:].cpu().numpy(), candidates)
    return Contender({"network": network, "whole": whole}, f"{name}, {note}, {suppression}")


CONTENDERS: dict[str, Callable[..., Contender]] = {
    "this project, bfloat16": functools.partial(ours, precision="bfloat16"),
    "this project, float32": functools.partial(ours, precision="float32"),
    "torchvision, as shipped": functools.partial(torchvision_ssd, bfloat16=False),
    "torchvision, bfloat16 channels last": functools.partial(torchvision_ssd, bfloat16=True),
    "ONNX Runtime, float32": onnx_runtime,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Prints medians over the rounds and how the contenders compare with the first."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")])
    options.add_argument(
        "--candidates",
        type=int,
        default=400,
        help="number of candidates per image, over all classes",
    )
    options.add_argument("--contenders", default=",".join(map(str, range(len(CONTENDERS)))))
    _networks.add_option(options)
    given = options.parse_args(argv)
    batches = given.batches or [1, 8]
    print(f"{_contenders.machine()}; {given.rounds} rounds, {given.candidates} candidates an image")
    known = {}
    for network in given.model_name:
        pictures = make_pictures(max(batches), _networks.side(network))
        known[network] = {
            name: functools.partial(make, pictures, given.candidates, model_name=network)
            for name, make in CONTENDERS.items()
        }
    chosen = _networks.choose(known, given.contenders)
    running = _contenders.start({title: make for title, (_, make) in chosen.items()})
    for batch in batches if running else ():
        compare(running, batch, given.rounds)
    for process in running.values():
        process.close()


def compare(running: dict[str, _contenders.Process], batch: int, rounds: int) -> None:
    """Prints seconds an image, and how many times as long as the first contender that is."""
    seconds = {part: _contenders.in_turn(running, part, batch, rounds=rounds) for part in _PARTS}
    first = next(iter(running))
    width = max(36, *(len(name) + 2 for name in running))
    print(f"\nbatch {batch:<{width - 6}}{'network':>12}{'ratio':>8}{'whole':>12}{'ratio':>8}")
    for name in running:
        cells = [
            f"{statistics.median(own[name]) / batch:>10.4f} s"
            f"{_contenders.ratio(own[name], own[first]):>8.2f}"
            for own in seconds.values()
        ]
        print(f"{name:<{width}}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
