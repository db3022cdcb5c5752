"""Draws a data set of shapes in the layout of the Pascal VOC devkit: OUTPUT_DIR/VOC2007.

  .venv/bin/python scripts/make_shapes_devkit.py --output_dir=demo/VOCdevkit

The same seed and counts give the same files; see datasets/shapes/folder.py.
"""

import dataclasses

from runtime import cli

cli.quiet_tensorflow()

from datasets.shapes import folder  # noqa: E402
from runtime.progress import Progress  # noqa: E402
from runtime.settings import define_flags, from_flags, require, setting  # noqa: E402


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapesSettings:
    """The flags."""

    output_dir: str = setting("", "Folder in which the folder VOC2007 is made.")
    seed: int = setting(0, "Random seed of all images.")
    num_train: int = setting(2400, "Number of training images.")
    num_test: int = setting(200, "Number of held-out images.")

    def __post_init__(self):
        require(self, "output_dir")


def main() -> None:
    """Draws, and says where the data set is."""
    settings = from_flags(ShapesSettings)
    total = settings.num_train + settings.num_test
    with Progress(total, "drawing", unit="images", log_seconds=5.0) as progress:
        voc_dir = folder.generate(**dataclasses.asdict(settings), on_picture=progress.update)
    print(f"{settings.num_train} training and {settings.num_test} test images: {voc_dir}")


if __name__ == "__main__":
    define_flags(ShapesSettings)
    cli.run(main, usage=__doc__)
