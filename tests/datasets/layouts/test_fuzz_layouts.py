"""Mutated data sets of every layout: read or refused in a sentence, and no file forgotten."""

import os
import pathlib
import random
import re
import tempfile

import pytest

from datasets.conversion import Conversion, convert, convert_source
from datasets.layouts import registry
from datasets.layouts.image_file import PICTURE_ENDINGS
from datasets.layouts.source import Options, Source
from runtime.errors import InputError
from tests.datasets.layouts.mutations import MAKERS, Files, mutate

COUNT, SLOW_COUNT = 200, 800
CONVERTED = 20  # one in so many is written to records, which takes longer
ANNOTATIONS = {"pascalvoc": (".xml",), "yolo": (".txt",), "labelme": (".json",)}


def write(files: Files, folder: str) -> None:
    for name, data in files.items():
        path = pathlib.Path(folder, name)
        if any(parent.is_file() for parent in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def options_of(layout: str, folder: str, lines: list[str]) -> Options:
    if registry.LAYOUTS[layout].is_file:
        name = "ann.csv" if layout == "tfcsv" else "ann.json"
        return Options(f"{folder}/images", annotations=f"{folder}/{name}", report=lines.append)
    return Options(folder, report=lines.append)


def unaccounted(layout: str, source: Source, folder: str, found: list[str]) -> list[str]:
    """Images, and annotations in files of their own, that the source neither uses nor tells of."""
    if layout in ("coco", "tfcsv", "labelstudio", "via"):
        return []  # their images may lie among others, and an inspection tells of these
    told = " ".join([*map(str, source.left_out.items())])
    used = [
        part for i in source.images.values() for part in (i.place, str(i.path), str(i.annotation))
    ]
    text = told + " ".join(used) + " ".join(f.place for f in source.findings())
    counted = re.compile(r"\d+ (\.\w+) files?|\d+ files? without ending")
    endings = {match[1] for match in counted.finditer(told)}
    kinds = (*PICTURE_ENDINGS, *ANNOTATIONS.get(layout, ()))
    files = [name for name in found if name.lower().endswith(kinds)]
    return [
        name
        for name in files
        if os.path.basename(name) not in text
        and os.path.splitext(name)[1].lower() not in endings
        and not name.startswith("ImageSets/")
    ]


def try_one(layout: str, seed: int) -> str:
    """What came of it: "refused", or "read"."""
    rng = random.Random(seed)
    files = mutate(MAKERS[layout](), rng)
    with tempfile.TemporaryDirectory() as folder:
        write(files, folder)
        lines: list[str] = []
        options = options_of(layout, folder, lines)
        try:
            source = registry.open_source(layout, options)
            there = [p.relative_to(folder) for p in pathlib.Path(folder).rglob("*") if p.is_file()]
            assert unaccounted(layout, source, folder, sorted(map(str, there))) == []
            fields = {"dataset_name": layout, "annotations": options.annotations, "skip_bad": 99}
            conversion = Conversion(
                options.folder, output_dir=f"{folder}/records", output_name="x", **fields
            )
            if seed % CONVERTED:
                convert_source(
                    source, Conversion(options.folder, dry_run=True, **fields), report=lines.append
                )
            else:
                convert(conversion, report=lines.append)
        except InputError:
            return "refused"
        return "read"


def test_data_sets_that_are_mutated_are_whole_before(tmp_path):
    for layout, make in MAKERS.items():
        folder = tmp_path / layout
        write(make(), str(folder))
        lines: list[str] = []
        source = registry.open_source(layout, options_of(layout, str(folder), lines))
        tally = convert_source(source, Conversion("x", dry_run=True), report=lines.append)
        assert (layout, tally.num_images, sorted({*tally.labels} & {"cat", "dog"})[:1]) == (
            layout,
            2,
            ["cat"],
        )


@pytest.mark.parametrize("layout", MAKERS)
def test_mutated_layout_is_read_or_refused(layout):
    assert "read" in {try_one(layout, seed) for seed in range(COUNT)}


@pytest.mark.slow
@pytest.mark.parametrize("layout", MAKERS)
def test_many_mutated_layouts_are_read_or_refused(layout):
    for seed in range(COUNT, SLOW_COUNT):
        try_one(layout, seed)
