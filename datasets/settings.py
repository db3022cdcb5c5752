"""The settings of a conversion: the flags of `tf_convert_data.py`, with their defaults."""

import dataclasses
import functools

from datasets.layouts import registry
from datasets.layouts.registry import LAYOUTS
from runtime.errors import InputError
from runtime.settings import check, require, setting


@dataclasses.dataclass(frozen=True)
class Conversion:
    """What to convert, and to where."""

    dataset_dir: str = setting(
        "",
        "Folder of the data set, such as VOC's with Annotations, JPEGImages and ImageSets, or "
        "its parent; or folder of the images if the annotations are a file.",
    )
    dataset_name: str = setting(
        "pascalvoc",
        f"Layout of the images and annotations, any classes: {', '.join(LAYOUTS)}; auto finds out.",
    )
    coco_annotations: str = setting("", "JSON file of COCO instances, for dataset_name=coco.")
    output_name: str = setting(
        "pascalvoc", "Name of the records: the files are called NAME_NNN.tfrecord."
    )
    output_dir: str = setting("./", "Folder for the records; several data sets may share it.")
    split: str = setting(
        "",
        "Split: a file ImageSets/Main/SPLIT.txt, an entry of data.yaml, a folder's name or CVAT's "
        "subset; all annotated images by default.",
    )
    labels_file: str = setting(
        "",
        "File of class names, one a line; by default VOC's 20 if they cover the annotations, "
        "else the annotations' sorted by name.",
    )
    num_shards: int = setting(0, "Number of record files; 0 chooses it by size.", minimum=0)
    skip_bad: int = setting(0, "Skip up to so many images that are missing or damaged.", minimum=0)
    dry_run: bool = setting(
        False, "Only read and count the annotations, without images; write nothing."
    )

    def __post_init__(self):
        layout = LAYOUTS.get(self.layout)
        is_file = layout is not None and layout.is_file
        if not (is_file and self.dry_run):
            require(self, "dataset_dir")
        check(self)
        if layout is None:
            raise InputError(
                f"--dataset_name={self.dataset_name} is no layout that can be converted: pass one "
                f"of {', '.join(LAYOUTS)} (pascalvoc is right for any folder in VOC layout)."
            )
        if self.coco_annotations and not is_file:
            names = " or ".join(name for name, other in LAYOUTS.items() if other.is_file)
            raise InputError(
                f"--coco_annotations={self.coco_annotations} belongs to --dataset_name={names}: "
                "pass that too."
            )
        if self.split and not layout.has_splits:
            flag = "--coco_annotations" if is_file else "--dataset_dir"
            raise InputError(
                f"--split={self.split}: a {layout.kind} is one split; choose it by {flag}."
            )
        if is_file:
            require(self, "coco_annotations")

    @functools.cached_property
    def layout(self) -> str:
        """Name of the layout; with "auto", of the first that recognises what is given."""
        if self.dataset_name == "auto":
            return registry.recognise(self.coco_annotations or self.dataset_dir)
        return self.dataset_name
