"""Which images a data set holds out: by a hash, with every class on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets.conversion import Conversion, convert, open_source
from datasets.dataset_factory import get_dataset
from datasets.holdout import divide, usual_pair
from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.source import AnnotatedImage
from datasets.records.features import read_contents
from datasets.records.manifest import read_manifest
from datasets.records.reader import RecordReader
from runtime.errors import InputError
from tests.voc_folder import annotation_xml, picture_bytes

BOX = (2, 4, 12, 24)


def image(*names: str, path: str = "", difficult: bool = False) -> AnnotatedImage:
    """An image with an object of each class, and no file unless one is given."""
    objects = tuple(Object(name, BOX, difficult, False) for name in names)
    return AnnotatedImage("", Annotation("x", 40, 20, 3, objects), path)


def many(count: int, *names: str) -> dict[str, AnnotatedImage]:
    return {f"p{number:04d}": image(*names) for number in range(count)}


def test_share_is_held_out_and_the_order_stays():
    images = many(2000, "cat")
    train, val = divide(images, share=0.2, seed=0).sides.values()
    assert 330 < len(val) < 470  # 400 and four standard deviations of 18
    assert sorted([*train, *val]) == list(images)
    assert (train, val) == (sorted(train), sorted(val))


def test_another_seed_holds_out_others():
    images = many(200, "cat")
    assert (
        divide(images, share=0.2, seed=0).sides["val"]
        != divide(images, share=0.2, seed=1).sides["val"]
    )


def test_images_that_are_added_move_no_other():
    few, more = many(100, "cat"), many(300, "cat")
    before, after = (divide(images, share=0.3, seed=5).sides for images in (few, more))
    assert [i for i in after["val"] if i in few] == before["val"]


def test_larger_share_holds_out_the_same_and_more():
    images = many(300, "cat")
    small, large = ({*divide(images, share=s, seed=0).sides["val"]} for s in (0.1, 0.3))
    assert small < large


def test_rare_class_is_on_both_sides_and_one_image_is_trained_on():
    images = many(50, "cat")
    train, val = divide(images, share=0.2, seed=0).sides.values()
    images |= {train[0]: image("cat", "rare"), train[1]: image("cat", "rare")}
    images |= {val[0]: image("cat", "once"), val[1]: image("pair"), val[2]: image("pair")}
    found = divide(images, share=0.2, seed=0)
    assert len({train[0], train[1]} & {*found.sides["val"]}) == 1
    assert len({val[1], val[2]} & {*found.sides["val"]}) == 1
    assert val[0] in found.sides["train"]
    assert len(found.moved) == 3
    assert found.lacking == ["once"]


def test_class_without_counted_objects_moves_nothing():
    images = many(50, "cat")
    train = divide(images, share=0.2, seed=0).sides["train"]
    images |= {i: image("cat", difficult=True) for i in train[:2]}
    assert divide(images, share=0.2, seed=0).moved == []


def test_classes_that_cannot_all_be_on_both_sides_are_named():
    images = {"1": image("a", "c"), "2": image("a", "b"), "3": image("b", "c")}
    found = divide(images, share=0.5, seed=0)
    assert len(found.lacking) == 1
    assert all(found.sides.values())


def test_no_side_is_empty():
    for seed in range(20):
        sides = divide(many(2), share=0.01, seed=seed).sides
        assert [len(ids) for ids in sides.values()] == [1, 1]


def test_single_image_cannot_be_divided():
    with pytest.raises(InputError, match=r"--holdout=0\.2 needs two different images"):
        divide(many(1), share=0.2, seed=0)


def test_equal_files_are_not_parted(tmp_path):
    images = many(60, "cat")
    for number, (image_id, each) in enumerate(images.items()):
        path = tmp_path / f"{image_id}.jpg"
        path.write_bytes(b"%03d" % (number % 30))
        images[image_id] = each._replace(path=str(path))
    found = divide(images, share=0.5, seed=0)
    contents = [{(tmp_path / f"{i}.jpg").read_bytes() for i in ids} for ids in found.sides.values()]
    assert contents[0].isdisjoint(contents[1])
    assert found.together == 30


def test_roboflows_versions_of_an_image_are_not_parted():
    names = [f"img{number}_jpg.rf.{version:032x}.jpg" for number in range(30) for version in (1, 2)]
    images = {str(k): image("cat", path=name) for k, name in enumerate(names)}
    sides = divide(images, share=0.5, seed=0).sides
    originals = [{names[int(i)].split(".")[0] for i in ids} for ids in sides.values()]
    assert originals[0].isdisjoint(originals[1])
    assert all(originals)


@given(
    st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), min_size=2, max_size=12),
    st.integers(0, 5),
    st.floats(0.01, 0.99),
)
def test_every_class_is_where_it_can_be(classes, seed, share):
    images = {str(k): image(*sorted(names)) for k, names in enumerate(classes)}
    found = divide(images, share=share, seed=seed)
    assert sorted([*found.sides["train"], *found.sides["val"]]) == sorted(images)
    assert all(found.sides.values())
    shown = {k: set().union(*(classes[int(i)] for i in ids)) for k, ids in found.sides.items()}
    everything = shown["train"] | shown["val"]
    assert {*found.lacking} == everything - (shown["train"] & shown["val"])
    for name in found.lacking:  # no image that shows it alone could change sides
        holders = [i for i in images if name in classes[int(i)]]
        if len(holders) > 1 and all(len(ids) > 1 for ids in found.sides.values()):
            assert all(classes[int(i)] != {name} for i in holders)


@pytest.mark.parametrize(
    "splits, pair",
    [
        (["test", "train", "valid"], ("train", "valid")),
        (["test", "train", "trainval", "val"], ("train", "val")),
        (["test", "trainval"], ("trainval", "test")),
        (["trainval", "val"], None),  # which is a part of it
        (["train"], None),
        ([], None),
    ],
)
def test_usual_pair_never_overlaps(splits, pair):
    assert usual_pair(splits) == pair


@pytest.fixture
def add_images(voc):
    """Fills the folder with images that all differ, a second class on two of them."""

    def add_images(count):
        for number in range(count):
            names = ("own", "rare") if number in (3, 4) else ("own",)
            objects = [(name, BOX) for name in names]
            voc.add_xml(f"p{number:03d}", annotation_xml(width=40, height=20, objects=objects))
            path = voc.path / "JPEGImages" / f"p{number:03d}.jpg"
            path.write_bytes(picture_bytes() + b"%03d" % number)

    return add_images


def convert_to(folder, voc, **changes):
    lines = []
    fields = {"dataset_dir": str(voc), "output_dir": str(folder), "output_name": "own"}
    return convert(Conversion(**fields | changes), report=lines.append), lines


def filenames(folder, split):
    with RecordReader(get_dataset("own", split, str(folder)).shards) as reader:
        return [read_contents(reader.read(i)).filename for i in range(len(reader))]


def test_conversion_writes_both_parts(voc, add_images, tmp_path):
    add_images(40)
    tally, lines = convert_to(tmp_path / "out", voc, holdout=0.25, split_seed=7)
    train, val = (filenames(tmp_path / "out", split) for split in ("train", "val"))
    assert sorted([*train, *val]) == [f"p{number:03d}.jpg" for number in range(40)]
    assert (tally.num_images, tally.num_objects) == (40, 42)
    assert {k: part.num_images for k, part in tally.parts.items()} == {
        "own_train": len(train),
        "own_val": len(val),
    }
    assert lines[0] == (
        f"--holdout=0.25: {len(train)} images in own_train, {len(val)} images in own_val."
    )
    manifests = [read_manifest(str(tmp_path / "out"), f"own_{k}") for k in ("train", "val")]
    for found in manifests:
        assert found.labels == ("own", "rare")
        assert found.classes["rare"]["objects"] == 1
        assert found.notes["holdout"]["split_seed"] == 7


def test_dry_run_divides_in_the_same_way(voc, add_images, tmp_path):
    add_images(40)
    written, _ = convert_to(tmp_path / "out", voc, holdout=0.25)
    counted, _ = convert_to(tmp_path / "none", voc, holdout=0.25, dry_run=True)
    assert [p.table() for p in counted.parts.values()] == [
        p.table() for p in written.parts.values()
    ]
    assert not (tmp_path / "none").exists()


def test_bad_images_of_both_parts_count_together(voc, add_images, tmp_path):
    add_images(20)
    for side in convert_to(tmp_path / "out", voc, holdout=0.5)[0].parts:
        name = filenames(tmp_path / "out", side.removeprefix("own_"))[0]
        (voc.path / "JPEGImages" / name).write_bytes(f"no image {name}".encode())
    before = filenames(tmp_path / "out", "train")
    with pytest.raises(InputError, match="bad image number 2, --skip_bad=1"):
        convert_to(tmp_path / "out", voc, holdout=0.5, skip_bad=1)
    assert filenames(tmp_path / "out", "train") == before  # neither part was replaced
    tally, _ = convert_to(tmp_path / "out", voc, holdout=0.5, skip_bad=2)
    assert (tally.num_images, len(tally.notes["skipped"])) == (18, 2)
    assert [len(part.notes["skipped"]) for part in tally.parts.values()] == [1, 1]


def test_left_out_is_told_once_and_kept_with_both(voc, add_images, tmp_path):
    add_images(10)
    (voc.path / "JPEGImages" / "alone.jpg").write_bytes(picture_bytes())
    tally, lines = convert_to(tmp_path / "out", voc, holdout=0.5)
    assert sum("alone.jpg" in line for line in lines) == 1
    assert [len(part.notes["left_out"]) for part in tally.parts.values()] == [1, 1]
    assert "parts of the input left out: 1" in tally.summary()


def test_own_splits_are_known_and_not_used_unless_one_is_chosen(voc, add_images, tmp_path):
    add_images(30)
    for name, numbers in {"train": range(20), "test": range(20, 30)}.items():
        voc.add_split(name, "".join(f"p{number:03d}\n" for number in numbers))
    conversion = Conversion(dataset_dir=str(voc), dry_run=True)
    assert open_source(conversion, report=lambda line: None).splits == ("test", "train")
    tally, lines = convert_to(tmp_path / "all", voc, holdout=0.5)
    assert tally.num_images == 30
    assert any("own splits are not used" in line for line in lines)
    tally, lines = convert_to(tmp_path / "one", voc, holdout=0.5, split="train")
    assert tally.num_images == 20
    assert not any("own splits" in line for line in lines)


def test_seed_without_holdout_is_refused():
    with pytest.raises(InputError, match="--split_seed=3 does nothing without --holdout"):
        Conversion(dataset_dir="x", split_seed=3)
