"""The settings of an inspection: the flags of `inspect_dataset.py`, with their defaults."""

import dataclasses
import functools

from datasets.layouts import registry
from nets.parameters import AnchorSizes
from runtime.errors import InputError
from runtime.limits import MAX_SEED
from runtime.settings import OnlyWith, check, refuse_unless, setting

FORMATS = ("text", "json", "html")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectSettings:
    """What is looked at is `input`, or else the records of a data set."""

    input: str = setting(
        "",
        f"Data set to inspect, if not records: {registry.listed(registry.LAYOUTS.values())}.",
    )
    dataset_dir: str = setting(
        "", "Folder of the TFRecords, or of the images if --input is a file."
    )
    dataset_name: str = setting(
        "", "Name of the data set, or a comma list of several; see docs/data.md."
    )
    split: str = setting(
        "", "Split of the records or of the folder; by default all images of a folder."
    )
    labels_file: str | None = setting(None, "File of the allowed class names, one a line.")
    labels_offset: int = setting(
        0,
        "Number to subtract from the class ids in the records.",
        only_with=OnlyWith("dataset_name"),
    )

    format: tuple[str, ...] = setting(
        ("text",), "Report formats: comma list of text, json and html."
    )
    output_dir: str = setting(
        "", "Folder for inspection.json, index.html and the images of --view."
    )
    model_name: str = setting("ssd_300_vgg", "Network whose anchors are compared with the boxes.")
    anchors: str = setting("voc", "Anchor sizes: voc, coco or sides in pixels, as in training.")
    propose_anchors: int = setting(
        6,
        "Number of box shapes that k-means proposes, and anchors from them; 0 for none.",
        minimum=0,
    )
    view: int = setting(
        0, "Number of images to draw as the network sees them in training.", minimum=0
    )
    seed: int = setting(
        0, "Random seed of the augmentation in --view.", minimum=0, maximum=MAX_SEED
    )
    extract: str = setting(
        "",
        "New folder in VOC layout that the records are converted back to.",
        only_with=OnlyWith("dataset_name", said="is for records: give --dataset_name"),
    )

    def __post_init__(self):
        check(self)
        _ = self.anchor_sizes  # which refuses what it cannot read
        if bool(self.input) == bool(self.dataset_name):
            raise InputError(
                "Give either --input=FOLDER or --dataset_name=NAME with --dataset_dir: it is one "
                "data set that is inspected."
            )
        self._refuse_idle(registry.LAYOUTS[self.layout] if self.input else None)
        if self.dataset_name and not self.dataset_dir:
            raise InputError(f"--dataset_name={self.dataset_name} needs its --dataset_dir.")
        unknown = set(self.format) - set(FORMATS)
        if unknown:
            listed = ", ".join(FORMATS)
            raise InputError(f"--format={sorted(unknown)[0]} is none of {listed}.")
        if ("html" in self.format or self.view) and not self.output_dir:
            raise InputError("--format=html and --view need a folder for it: give --output_dir.")

    @functools.cached_property
    def anchor_sizes(self) -> AnchorSizes:
        """What `anchors` says, read once: sides of each layer's two square anchors, pixels."""
        from nets import nets_factory  # TensorFlow comes with it

        return nets_factory.get_network(self.model_name).parameters.sizes_of(self.anchors)

    def _refuse_idle(self, layout: registry.Layout | None) -> None:
        """Checks the flags that some inputs have no use for; the layout is None for records."""
        layouts = registry.LAYOUTS.values()
        kinds = registry.listed(other for other in layouts if other.has_splits)
        takes_split = layout is None or layout.has_splits
        refuse_unless(takes_split, self, "split", needs=f"records or {kinds}")
        kinds = registry.listed(other for other in layouts if other.is_file)
        takes_folder = layout is None or layout.is_file
        refuse_unless(takes_folder, self, "dataset_dir", needs=f"records or {kinds}")

    @functools.cached_property
    def layout(self) -> str:
        """Name of the layout of `input`."""
        return registry.recognise(self.input)
