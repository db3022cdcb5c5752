"""Times one training step beside torchvision's SSD, and against the machine's limit.

    python -m benchmarks.training [--rounds=7] [--batch_size=8] [--classes=21] [--objects=4]
        [--model_name=ssd_300_vgg,ssdlite_300_mobilenet_v2]

A step is everything between images in memory and new weights: matching, forward, loss, backward,
update by SGD with momentum and weight decay. torchvision trains by its own loss and matching, of
ssd300_vgg16 beside VGG and of ssdlite320_mobilenet_v3_large beside SSDLite: as it ships (float32),
under bfloat16 autocast, and with channels last on top of that. Contenders take turns as
`benchmarks/_contenders.py` says; torch and torchvision are no dependencies of this project. Where
there is a GPU all of them compute on it and float16 joins in; peak memory is the host's in any
case.

The limit is the best single 3x3 convolution of VGG-16, forward, in the same precision and in the
same rounds; a step's operations are the convolutions' products, three times (forward, to the
weights, to the inputs), less the first layer's inputs.
"""

import argparse
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import _contenders, _networks
from benchmarks._contenders import Contender
from benchmarks._scenes import Scenes, make_scenes
from runtime.errors import InputError

_LAYERS = ((150, 128), (75, 256), (38, 512))  # size and channels: conv2_2, conv3_2, conv4_2


def make_state(
    scenes: Scenes, classes: int, precision: str, *, model_name: str = "", **settings
) -> tuple[Any, Callable[[], Any], Callable[[], dict]]:
    """A training's `TrainState`, its `Batch` (matched anew by each call), and the step on it.

    The network is VGG of the images' size unless `model_name` says another.
    """
    import tensorflow as tf

    from datasets.input_pipeline import Batch
    from model.description import Description
    from nets import matching, nets_factory
    from preprocessing.ssd_vgg_preprocessing import RGB_MEANS
    from training.settings import ResolvedSettings
    from training.state import TrainState

    network = nets_factory.get_network(model_name or f"ssd_{scenes.images.shape[1]}_vgg")
    description = Description(
        model_name=network.parameters.name,
        labels=tuple(f"class_{number}" for number in range(1, classes)),
        input_scale=network.input_scale,
        precision=precision,
    )
    flags = {"train_dir": "-", "dataset_dir": "-", "learning_rate": 1e-4, "seed": 1, **settings}
    resolved = ResolvedSettings(
        **flags,
        model_name=description.model_name,
        precision=description.precision,
        input_scale=str(description.input_scale),
        anchors=description.anchors,
    )
    state = TrainState(resolved, description, num_samples=len(scenes.images))
    images = tf.constant(scenes.images - np.float32(network.rgb_means or RGB_MEANS))
    annotations = [
        list(map(tf.constant, each)) for each in zip(scenes.boxes, scenes.labels, strict=True)
    ]

    @tf.function(autograph=False)
    def targets() -> matching.Targets:
        anchors = state.detector.anchors
        found = [matching.match(boxes, labels, anchors) for boxes, labels in annotations]
        return matching.Targets(*(tf.stack(values) for values in zip(*found, strict=True)))

    def batch() -> Batch:
        return Batch(images, targets())

    return state, batch, lambda: state.step(batch())


def ours(scenes: Scenes, classes: int, precision: str, **settings) -> Contender:
    """This project's step, as `train_ssd_network.py` takes it."""
    import tensorflow as tf

    note = _contenders.set_up_tensorflow()
    if precision == "mixed_float16" and not tf.config.list_physical_devices("GPU"):
        raise InputError("it is for GPUs, and there is none")
    _, _, step = make_state(scenes, classes, precision, **settings)
    return Contender({"step": lambda: step()["loss"].numpy()}, note)


def torchvision_ssd(
    scenes: Scenes, classes: int, model_name: str, bfloat16: bool, channels_last: bool = False
) -> Contender:
    """torchvision's network beside `model_name` with its own loss, and torch's SGD."""
    import torch

    torchvision, _ = _contenders.import_torchvision()
    device, note = _contenders.find_torch_device()
    model, name = _networks.torchvision_model(torchvision, model_name, num_classes=classes)
    model = model.train().to(device)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    size, tensor = scenes.images.shape[1], functools.partial(torch.tensor, device=device)
    images = [tensor(image.transpose(2, 0, 1) / 255) for image in scenes.images]
    targets = [
        {"boxes": tensor(boxes[:, [1, 0, 3, 2]] * size), "labels": tensor(labels)}
        for boxes, labels in zip(scenes.boxes, scenes.labels, strict=True)
    ]
    if channels_last:
        _keep_channels_last(model, torch)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = sum(model(images, targets).values())
        loss.backward()
        optimizer.step()
        return loss.item()

    return Contender({"step": step}, f"{name}, {note}")


def _keep_channels_last(model, torch) -> None:
    """Images too are laid out as the weights are."""
    model.backbone.register_forward_pre_hook(
        lambda _, inputs: (inputs[0].contiguous(memory_format=torch.channels_last),)
    )


def convolutions(batch_size: int, precision: str) -> Contender:
    """The single convolutions whose best speed is the limit; TensorFlow's, forward."""
    import tensorflow as tf

    note, calls = _contenders.set_up_tensorflow(), {}
    for size, depth in _LAYERS:
        inputs = tf.cast(
            tf.random.stateless_normal([batch_size, size, size, depth], [1, 2]), precision
        )
        weights = tf.cast(tf.random.stateless_normal([3, 3, depth, depth], [3, 4]), precision)
        calls[f"convolution of {size} pixels"] = functools.partial(_convolve(tf), inputs, weights)
    return Contender(calls, note)


def _convolve(tf) -> Callable:
    @tf.function(autograph=False)
    def compiled(inputs, weights):
        return tf.nn.conv2d(inputs, weights, 1, "SAME")[0, 0, 0, 0]

    return lambda inputs, weights: compiled(inputs, weights).numpy()


def operations(classes: int, model_name: str = _networks.DEFAULT) -> int:
    """Of a training step for one image, a multiplication and an addition each counting."""
    from model.description import Description
    from model.detector import Detector

    labels = tuple(map(str, range(1, classes)))
    layers = Detector(Description(model_name=model_name, labels=labels)).layers
    return 2 * (3 * sum(layer.multiply_adds for layer in layers) - layers[0].multiply_adds)


def makers(scenes: Scenes, classes: int, model_name: str) -> dict[str, _networks.Make]:
    """All contenders by name, the one that others are compared with first."""
    own = functools.partial(ours, scenes, classes, model_name=model_name)
    theirs = functools.partial(torchvision_ssd, scenes, classes, model_name)
    return {
        "this project, bfloat16": functools.partial(own, "bfloat16"),
        "this project, float32": functools.partial(own, "float32"),
        "torchvision, as shipped": functools.partial(theirs, bfloat16=False),
        "torchvision, bfloat16 autocast": functools.partial(theirs, bfloat16=True),
        "torchvision, bfloat16 channels last": functools.partial(
            theirs, bfloat16=True, channels_last=True
        ),
        "this project, float16": functools.partial(own, "mixed_float16"),
        "this project, float16, compiled": functools.partial(own, "mixed_float16", jit=True),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Prints seconds an image, ratios to this project's, and how near the limit each comes."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--batch_size", type=int, default=8)
    options.add_argument(
        "--classes", type=int, default=21, help="number of classes with background"
    )
    options.add_argument("--objects", type=int, default=4, help="number of objects per image")
    options.add_argument(
        "--contenders", default="0,1,2,3,4,5,6", help="comma list of contender numbers"
    )
    _networks.add_option(options)
    given = options.parse_args(argv)
    print(
        f"{_contenders.machine()}; {given.rounds} rounds of {given.batch_size} images, "
        f"{given.classes} classes, {given.objects} objects an image"
    )
    known = {}
    for name in given.model_name:
        scenes = make_scenes(
            given.batch_size,
            classes=given.classes,
            objects=given.objects,
            side=_networks.side(name),
        )
        known[name] = makers(scenes, given.classes, name)
    chosen = _networks.choose(known, given.contenders)
    running = _contenders.start({title: make for title, (_, make) in chosen.items()})
    limits = {
        name: _contenders.Process(functools.partial(convolutions, given.batch_size, name))
        for name in sorted(set(map(_precision, running)))
    }
    if running:
        work = {title: operations(given.classes, chosen[title][0]) for title in running}
        compare(running, limits, work, rounds=given.rounds, batch_size=given.batch_size)
    for process in (*running.values(), *limits.values()):
        process.close()


def compare(
    running: dict[str, _contenders.Process],
    limits: dict[str, _contenders.Process],
    work: Mapping[str, int],
    *,
    rounds: int,
    batch_size: int,
) -> None:
    """Measures in rounds, limits and steps in turn, and prints the table.

    `work` is a step's operations for one image; torchvision's rows count those of the network that
    theirs stands beside.
    """
    for process in running.values():
        process.measure("step")  # builds
        process.measure("step")  # and still allocates
    best: dict[str, list[float]] = {name: [] for name in limits}
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, process in limits.items():
            best[name].append(max(_speed(process, batch_size, layer) for layer in _LAYERS))
        for name, process in running.items():
            seconds[name].append(process.measure("step"))
    first = next(iter(running))
    width = max(36, *(len(name) + 2 for name in seconds))
    print(f"\n{'':<{width}}{'s/image':>10}{'ratio':>7}{'GFLOP/s':>9}{'of limit':>9}{'peak GiB':>9}")
    for name, own in seconds.items():
        limit, operated = best[_precision(name)], work[name] * batch_size
        share = statistics.median(operated / s / most for s, most in zip(own, limit, strict=True))
        middle, ratio = statistics.median(own), _contenders.ratio(own, seconds[first])
        peak = running[name].peak_memory() / 2**30
        print(
            f"{name:<{width}}{middle / batch_size:>10.4f}{ratio:>7.2f}"
            f"{operated / middle / 1e9:>9.0f}{share:>9.0%}{peak:>9.1f}"
        )
    for name, speeds in best.items():
        print(f"limit, {name}: {statistics.median(speeds) / 1e9:.0f} GFLOP/s")


def _precision(name: str) -> str:
    """What a contender multiplies in."""
    return next((each for each in ("bfloat16", "float16") if each in name), "float32")


def _speed(process: _contenders.Process, batch_size: int, layer: tuple[int, int]) -> float:
    """Operations a second of a single convolution: the best of three calls."""
    size, depth = layer
    seconds = min(process.measure(f"convolution of {size} pixels") for _ in range(3))
    return 2 * batch_size * size**2 * 9 * depth**2 / seconds


if __name__ == "__main__":
    main()
