"""A model server, MLServer, gives over HTTP what the detector gives.

Skips where the extra `serving` is not installed; `test_export.py` then still loads the SavedModel
in a process that has only TensorFlow.
"""

import base64
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import cv2
import numpy as np
import pytest
import tensorflow as tf

from export.saved_model import write_saved_model
from model.description import Description
from model.detector import Detector

pytestmark = pytest.mark.slow

pytest.importorskip("mlserver", reason="the extra serving is not installed")

# What MLServer has to be told of a SavedModel: it knows the signatures by their arguments.
RUNTIME = """
import sys
for name in ("nets", "deployment", "preprocessing", "datasets", "metrics", "tf_slim"):
    sys.modules[name] = None  # an import of it fails
import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec
from mlserver.types import InferenceResponse

class SavedModel(MLModel):
    async def load(self):
        self.model = tf.saved_model.load(self.settings.parameters.uri)
        return True

    async def predict(self, request):
        given = request.inputs[0]
        if given.name == "encoded_images":
            values = tf.constant(Base64Codec.decode_input(given))
            found = self.model.signatures["encoded"](encoded_images=values)
        else:
            values = tf.constant(NumpyCodec.decode_input(given))
            found = self.model.signatures["serving_default"](images=values)
        outputs = [NumpyCodec.encode_output(name, found[name].numpy()) for name in found]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(
        Description(
            model_name="ssd_300_vgg",
            labels=("cat", "dog", "cow"),
            depth_multiplier=1 / 16,
            input_scale=1 / 58,
        ),
        seed=3,
    )


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth noise of 90 x 120 pixels."""
    coarse = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
    return cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def server(detector, tmp_path_factory):
    """The address of the served model."""
    folder = tmp_path_factory.mktemp("served")
    write_saved_model(detector, str(folder / "model"), select_threshold=0.3)
    (folder / "runtime.py").write_text(RUNTIME)
    ports = free_ports(3)
    names = ("http_port", "grpc_port", "metrics_port")
    settings = {"host": "127.0.0.1", "parallel_workers": 0} | dict(zip(names, ports, strict=True))
    model = {
        "name": "ssd",
        "implementation": "runtime.SavedModel",
        "parameters": {"uri": str(folder / "model")},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", "from mlserver.cli import main; main()", "start", "."],
            cwd=folder,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", "PATH": "/usr/bin:/bin"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{ports[0]}/v2/models/ssd"
    try:
        wait_until_ready(address, process, folder / "log.txt")
        yield address
    finally:
        process.terminate()
        process.wait(timeout=60)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until_ready(address: str, process: subprocess.Popen, log) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{address}/ready"):
            return
        time.sleep(0.2)
    pytest.fail(f"the model is not ready after two minutes: {log.read_text()}")


def ask(address: str, **given) -> dict[str, np.ndarray]:
    """Posts one input tensor; returns the output tensors by name."""
    request = urllib.request.Request(
        f"{address}/infer",
        data=json.dumps({"inputs": [given]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        outputs = json.load(answer)["outputs"]
    return {one["name"]: np.reshape(one["data"], one["shape"]) for one in outputs}


@pytest.mark.parametrize("signature", ["serving_default", "encoded"])
def test_server_finds_what_the_detector_finds(server, detector, picture, signature):
    if signature == "serving_default":
        data, shape = picture.ravel().tolist(), [1, *picture.shape]
        found = ask(server, name="images", datatype="UINT8", shape=shape, data=data)
    else:
        png = base64.b64encode(tf.io.encode_png(picture).numpy()).decode()
        found = ask(server, name="encoded_images", datatype="BYTES", shape=[1], data=[png])
    (wanted,) = detector.detect([picture], select_threshold=0.3)
    count = found["num_detections"].item()
    assert count == len(wanted.scores) >= 100
    np.testing.assert_allclose(found["scores"][0, :count], wanted.scores, atol=1e-4)
    far = np.abs(found["boxes"][0, None, :count] - wanted.boxes[:100, None]).max(axis=2)
    same = found["classes"][0, None, :count] == wanted.classes[:100, None]
    assert (same & (far < 1e-3)).any(axis=1).all()
