"""Fetches weights to start from, verifies them, and puts them into checkpoints/ by name.

  .venv/bin/python scripts/fetch_weights.py ssdlite_mobilenet_v2_coco

Names: ssdlite_mobilenet_v2_coco (18 MB; detects COCO's classes at once), mobilenet_v2, vgg_16,
resnet_v1_50 (classifiers of ImageNet, to train a detector from). Afterwards --checkpoint_path=NAME
finds them. An interrupted download is resumed.
"""

import dataclasses
import os
import sys
import tarfile
import tempfile

from runtime import cli

cli.quiet_tensorflow()

import numpy as np  # noqa: E402

from model import checkpoints, graph_model, weights  # noqa: E402
from nets import foreign_weights, object_detection_api  # noqa: E402
from runtime import download, files  # noqa: E402
from runtime.errors import InputError, one_line  # noqa: E402
from runtime.settings import define_flags, from_flags, setting  # noqa: E402


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """The flags."""

    name: str = setting("", "Name of the weights to fetch; may be given without the flag.")
    output_dir: str = setting(
        str(weights.FOLDER),
        "Folder for the weights; --checkpoint_path finds names in checkpoints/ only.",
    )
    url: str | None = setting(None, "URL of a mirror of the same archive.")

    def __post_init__(self):
        if self.name not in weights.SOURCES:
            known = ", ".join(weights.SOURCES)
            raise InputError(f"--name={self.name} is unknown: give one of {known}.")
        if self.url and not weights.SOURCES[self.name].url:
            raise InputError(f"--url={self.url}: Keras fetches {self.name}; remove the flag.")


def fetch(settings: FetchSettings) -> str:
    """Brings weights and returns the path of their checkpoint.

    Raises:
      InputError: they did not arrive, or are others.
    """
    source = weights.SOURCES[settings.name]
    path = weights.path_of(settings.name, settings.output_dir)
    if is_whole(path, source):
        return path
    archive = "What Keras fetched"
    if not source.url:
        tensors = from_keras()
    else:
        url = settings.url or source.url
        archive = os.path.join(settings.output_dir, os.path.basename(url))
        download.fetch(url, archive, sha256=source.sha256)
        tensors = from_archive(archive, source)
    if not has_needed(tensors, source):
        raise InputError(f"{archive} does not hold {source.title}: remove it and run this again.")
    with files.explain_write_errors(path):
        os.makedirs(settings.output_dir, exist_ok=True)
        checkpoints.write(f"{path}.temp", tensors)
        for ending in (".data-00000-of-00001", ".index"):  # a name with an index is complete
            files.put_in_place(f"{path}.temp{ending}", f"{path}{ending}")
    if source.url:
        os.remove(archive)
    return path


def is_whole(path: str, source: weights.Source) -> bool:
    """Whether a checkpoint is there and has the variables that it must have."""
    try:
        there = checkpoints.read(path) if os.path.exists(f"{path}.index") else {}
    except InputError:
        return False
    return has_needed(there, source)


def has_needed(tensors: dict[str, np.ndarray], source: weights.Source) -> bool:
    """Whether these are the weights that the source has, as far as some of them tell."""
    return all(
        name in tensors and tensors[name].shape == shape for name, shape in source.needed.items()
    )


def from_archive(archive: str, source: weights.Source) -> dict[str, np.ndarray]:
    """The variables in a tar file: of a graph model's folder, or of a checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(archive) as tar:
                wanted = [m for m in tar if m.name.startswith(source.member)]
                tar.extractall(folder, wanted, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(
                f"{archive} cannot be unpacked ({one_line(error)}): remove it and run this again."
            ) from error
        inside = os.path.join(folder, source.member)
        if os.path.isdir(inside):
            return object_detection_api.from_graph_model(graph_model.read(inside))
        return checkpoints.read(inside)


def from_keras() -> dict[str, np.ndarray]:
    """MobileNetV2's, which Keras fetches."""
    import keras

    try:
        model = keras.applications.MobileNetV2(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises bare ones
        raise InputError(
            f"Keras could not fetch MobileNetV2 ({one_line(error)}): run this again with a "
            "connection to storage.googleapis.com."
        ) from error
    layers = {layer.name: layer.get_weights() for layer in model.layers}
    return foreign_weights.mobilenet_v2_from_keras(layers)


def main() -> None:
    """Fetches, and says how to use the weights."""
    settings = from_flags(FetchSettings)
    path = fetch(settings)
    print(f"{weights.SOURCES[settings.name].title}: {path}")
    found = settings.name if path == weights.path_of(settings.name) else path
    print(f"--checkpoint_path={found} finds it.")


if __name__ == "__main__":
    # The name may stand without its flag.
    sys.argv[1:] = [each if each.startswith("-") else f"--name={each}" for each in sys.argv[1:]]
    define_flags(FetchSettings)
    cli.run(main, usage=__doc__)
