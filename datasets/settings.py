"""The settings of a conversion: the flags of `tf_convert_data.py`, with their defaults."""

import dataclasses
import functools

from datasets.class_selection import read_selection
from datasets.layouts import registry
from datasets.layouts.registry import LAYOUTS
from runtime.errors import InputError
from runtime.settings import OnlyWith, check, require, setting


def listed_names() -> str:
    """The names of the layouts whose annotations are one file: "coco, tfcsv or via"."""
    *names, last = (name for name, layout in LAYOUTS.items() if layout.is_file)
    return f"{', '.join(names)} or {last}" if names else last


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
    annotations: str = setting(
        "", f"File of the annotations, with dataset_name={listed_names()}, whose images are apart."
    )
    coco_annotations: str = setting("", "Earlier name of --annotations.")
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
    classes: str = setting(
        "",
        "Classes to take, with ; between them; NEW=OLD,OLD renames and merges: "
        "'car=car,truck;person'. Objects of others are left out.",
    )
    holdout: float = setting(
        0.0,
        "Share of the images to hold out, such as .2, for records NAME_train and NAME_val; a hash "
        "of split_seed and the image's id decides.",
        minimum=0,
        below=1,
    )
    split_seed: int = setting(
        0, "Another number holds out other images.", only_with=OnlyWith("holdout")
    )
    num_shards: int = setting(0, "Number of record files; 0 chooses it by size.", minimum=0)
    skip_bad: int = setting(0, "Skip up to so many images that are missing or damaged.", minimum=0)
    learn_crowds: bool = setting(
        False, "Take crowds for objects, where a tool marks all of its masks as crowds."
    )
    dry_run: bool = setting(
        False, "Only read and count the annotations, without images; write nothing."
    )

    def __post_init__(self):
        layout = LAYOUTS.get(self.layout)
        if read_selection(self.classes) and self.labels_file:
            raise InputError(
                f"--classes={self.classes} and --labels_file={self.labels_file} both name the "
                "classes: give one of them."
            )
        is_file = layout is not None and layout.is_file
        if not (is_file and self.dry_run):
            require(self, "dataset_dir")
        check(self)
        if layout is None:
            raise InputError(
                f"--dataset_name={self.dataset_name} is no layout that can be converted: pass one "
                f"of {', '.join(LAYOUTS)} (pascalvoc is right for any folder in VOC layout)."
            )
        if self.coco_annotations and self.annotations not in ("", self.coco_annotations):
            raise InputError(
                f"--coco_annotations={self.coco_annotations} is an earlier name of --annotations="
                f"{self.annotations}: give one of them."
            )
        if self.annotation_file and not is_file:
            flag, names = "coco_annotations", "coco"
            if self.annotations:
                flag, names = "annotations", listed_names()
            raise InputError(
                f"--{flag}={self.annotation_file} belongs to --dataset_name={names}: pass that too."
            )
        if self.split and not layout.has_splits:
            flag = "--annotations" if is_file else "--dataset_dir"
            raise InputError(
                f"--split={self.split}: a {layout.kind} is one split; choose it by {flag}."
            )
        if is_file and not self.annotation_file:
            require(self, "annotations")

    @functools.cached_property
    def layout(self) -> str:
        """Name of the layout; with "auto", of the first that recognises what is given."""
        if self.dataset_name == "auto":
            return registry.recognise(self.annotation_file or self.dataset_dir)
        return self.dataset_name

    @property
    def annotation_file(self) -> str:
        """The file of the annotations, under whichever name it was given."""
        return self.annotations or self.coco_annotations
