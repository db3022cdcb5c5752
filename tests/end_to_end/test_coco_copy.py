"""Blood cells as VOC and as COCO have them: the same training, to the last digit."""

import json
import pathlib
from xml.etree import ElementTree

import pytest
import runs

from datasets.conversion import Conversion, convert

pytestmark = pytest.mark.slow

STEPS = 4
CATEGORY_IDS = {"Platelets": 3, "RBC": 17, "WBC": 90}  # with gaps, as COCO's own


def coco_copy(voc_dir: pathlib.Path, split: str) -> dict[str, list]:
    """The instances of a split as COCO's JSON has them."""
    tables = {"images": [], "annotations": []}
    for number, name in enumerate((voc_dir / f"ImageSets/Main/{split}.txt").read_text().split()):
        root = ElementTree.parse(voc_dir / "Annotations" / f"{name}.xml").getroot()
        width, height = (int(root.findtext(f"size/{side}")) for side in ("width", "height"))
        image = {"id": 1000 + number, "file_name": f"{name}.jpg", "width": width, "height": height}
        tables["images"].append(image)
        for thing in root.iter("object"):
            sides = [int(thing.findtext(f"bndbox/{s}")) for s in ("xmin", "ymin", "xmax", "ymax")]
            row = {
                "id": len(tables["annotations"]),
                "image_id": image["id"],
                "category_id": CATEGORY_IDS[thing.findtext("name")],
                "bbox": [*sides[:2], sides[2] - sides[0], sides[3] - sides[1]],
            }
            tables["annotations"].append(row)
    categories = [{"id": k, "name": name} for name, k in reversed(CATEGORY_IDS.items())]
    return tables | {"categories": categories}


def test_coco_copy_trains_to_the_losses_of_the_voc_folder(shared, tmp_path):
    voc_dir, instances = shared / "data" / "bccd" / "BCCD", tmp_path / "instances.json"
    instances.write_text(json.dumps(coco_copy(voc_dir, "train")))
    layouts = {
        "voc": {"dataset_dir": str(voc_dir), "split": "train"},
        "coco": {
            "dataset_name": "coco",
            "dataset_dir": f"{voc_dir}/JPEGImages",
            "coco_annotations": str(instances),
        },
    }
    losses = {}
    for name, flags in layouts.items():
        place = {"output_dir": str(tmp_path / name), "output_name": "cells_train"}
        convert(Conversion(**flags, **place), report=lambda line: None)
        arguments = runs.train_flags(tmp_path / name, tmp_path / f"run_{name}", steps=STEPS)
        runs.run("train_ssd_network.py", *arguments, "--dataset_name=cells")
        rows = runs.read_metrics(tmp_path / f"run_{name}")
        losses[name] = [(row["step"], row["loss"], row["positives"]) for row in rows]
    assert len(losses["voc"]) == STEPS
    assert losses["coco"] == losses["voc"]
