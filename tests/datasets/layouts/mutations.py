"""Small data sets in every layout, and changes to them that keep their form: keys, tags, rows."""

import json
import random
import re
from typing import Any
from xml.etree import ElementTree

from tests.datasets.test_fuzz import mutate as mutate_bytes
from tests.voc_folder import annotation_xml, picture_bytes

Files = dict[str, bytes]
BOX = (2, 4, 12, 24)
ODD = (
    *(None, True, False, 0, -1, 1, 2.5, 1e308, float("nan"), float("inf"), 10**30, "", " ", "nan"),
    *("x" * 300, "a.jpg", "../a.jpg", "/etc/passwd", "cat", "background", "\ud800", "1", "0.5"),
    *([], {}, [[]], [{}], [1, 2], [[1, 2], [3]], {"x": 1}, [None], [[[[[[[[]]]]]]]]),
)
ODD_TEXT = (
    "",
    " ",
    "nan",
    "-1",
    "0",
    "1e999",
    "9" * 40,
    "cat",
    "a.jpg",
    "../b",
    "\u00e9",
    "\0",
    "<",
)


def _pictures(folder: str, *names: str) -> Files:
    return {f"{folder}{n}": picture_bytes() + n.encode() for n in names}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _voc() -> Files:
    xml = annotation_xml(width=40, height=20, objects=[("cat", BOX), ("dog", (0, 0, 9, 9))])
    files = {f"Annotations/{n}.xml": xml.encode() for n in "ab"}
    return (
        files
        | _pictures("JPEGImages/", "a.jpg", "b.jpg")
        | {"ImageSets/Main/train.txt": b"a\nb 1\n"}
    )


def _cvat() -> Files:
    box = '<box label="cat" occluded="0" xtl="4" ytl="2" xbr="24" ybr="12" rotation="9"/>'
    difficult = '<attribute name="difficult">1</attribute>'
    polygon = f'<polygon label="dog" points="1,1;9,1;9,9">{difficult}</polygon>'
    size = 'subset="train" width="40" height="20"'
    images = "".join(
        f'<image id="{k}" name="{n}.jpg" {size}>{box}{polygon}</image>' for k, n in enumerate("ab")
    )
    labels = "<meta><task><labels><label><name>cat</name></label></labels></task></meta>"
    return {"annotations.xml": f"<annotations>{labels}{images}</annotations>".encode()} | _pictures(
        "images/", "a.jpg", "b.jpg"
    )


def _yolo() -> Files:
    texts = {
        f"labels/{n}.txt": b"0 .5 .5 .2 .2\n1 .1 .1 .2 .1 .2 .2\n" for n in ("train/a", "val/b")
    }
    yaml = b"path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
    return {"data.yaml": yaml} | texts | _pictures("images/", "train/a.jpg", "val/b.jpg")


def _coco_tables(*names: str) -> dict[str, Any]:
    return {
        "images": [
            {"id": k, "file_name": n, "width": 40, "height": 20} for k, n in enumerate(names)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1 + k, "bbox": [4, 2, 20, 10], "iscrowd": 0}
            | {"segmentation": [[4, 2, 24, 2, 24, 12]]}
            for k in range(len(names))
        ],
        "categories": [
            {"id": 0, "name": "animals"},
            {"id": 1, "name": "cat", "supercategory": "animals"},
            {"id": 2, "name": "dog", "supercategory": "animals"},
        ],
    }


def _coco() -> Files:
    return {"ann.json": _json(_coco_tables("a.jpg", "b.jpg"))} | _pictures(
        "images/", "a.jpg", "b.jpg"
    )


def _roboflow() -> Files:
    made: Files = {}
    for split, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        made |= _pictures(f"{split}/", name)
        made[f"{split}/_annotations.coco.json"] = _json(_coco_tables(name))
    return made


def _tfcsv() -> Files:
    rows = b"a.jpg,40,20,cat,4,2,24,12\nb.jpg,40,20,dog,0,0,9,9\nb.jpg,40,20,cat,1,1,8,8\n"
    head = b"filename,width,height,class,xmin,ymin,xmax,ymax\n"
    return {"ann.csv": head + rows} | _pictures("images/", "a.jpg", "b.jpg")


def _labelstudio() -> Files:
    value = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
    result = {"id": "r", "type": "rectanglelabels", "from_name": "label", "to_name": "image"}
    result |= {"original_width": 40, "original_height": 20, "value": value}
    tasks = [
        {
            "id": k,
            "data": {"image": f"/data/upload/1/0123abcd-{n}"},
            "annotations": [{"id": k, "result": [result], "was_cancelled": False}],
        }
        for k, n in enumerate(("a.jpg", "b.jpg"))
    ]
    return {"ann.json": _json(tasks)} | _pictures("images/", "a.jpg", "b.jpg")


def _labelme() -> Files:
    shapes = [
        {"label": "cat", "points": [[4, 2], [24, 12]], "shape_type": "rectangle", "group_id": None},
        {"label": "dog", "points": [[1, 1], [9, 1], [9, 9]], "shape_type": "polygon", "flags": {}},
        {"label": "dot", "points": [[1, 1]], "shape_type": "point"},
    ]
    made = _pictures("", "a.jpg", "b.jpg")
    for name in "ab":
        image = {"imagePath": f"{name}.jpg", "imageHeight": 20, "imageWidth": 40, "imageData": None}
        made[f"{name}.json"] = _json({"version": "5", "flags": {}, "shapes": shapes} | image)
    return made


def _via() -> Files:
    rect = {"name": "rect", "x": 4, "y": 2, "width": 20, "height": 10}
    poly = {"name": "polygon", "all_points_x": [1, 9, 9], "all_points_y": [1, 1, 9]}
    regions = [
        {"shape_attributes": rect, "region_attributes": {"class": "cat"}},
        {"shape_attributes": poly, "region_attributes": {"class": "dog"}},
    ]
    files = {
        f"{n}99": {"filename": n, "size": 99, "regions": regions, "file_attributes": {}}
        for n in ("a.jpg", "b.jpg")
    }
    return {"ann.json": _json(files)} | _pictures("images/", "a.jpg", "b.jpg")


MAKERS = {
    "pascalvoc": _voc,
    "cvat": _cvat,
    "yolo": _yolo,
    "coco": _coco,
    "roboflow": _roboflow,
    "tfcsv": _tfcsv,
    "labelstudio": _labelstudio,
    "labelme": _labelme,
    "via": _via,
}


def mutate(files: Files, rng: random.Random) -> Files:
    """One to three changes of a data set's files, or of what they hold."""
    made = dict(files)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        texts = [name for name in made if not name.endswith(".jpg")]
        if texts and rng.random() < 0.8:
            name = rng.choice(texts)
            made[name] = _mutate_text(name, made[name], rng)
        elif made:
            _mutate_files(made, rng)
    return made


def _mutate_files(made: Files, rng: random.Random) -> None:
    name = rng.choice([*made])
    stem, _, ending = name.rpartition(".")
    change = rng.randrange(6)
    if change == 0:
        del made[name]
    elif change == 1:
        made[name] = rng.choice((b"", b"\xff\xfe\0", made[name][:20]))
    elif change == 2:
        made[rng.choice((f"{stem}.{ending.upper()}", f"{stem}.heic", stem))] = made.pop(name)
    elif change == 3:
        folder, _, base = name.rpartition("/")
        made[f"{folder}/day 1/{base}".lstrip("/")] = made.pop(name)
    elif change == 4:
        made[f"{stem} copy.{ending}"] = made[name]
    else:
        made[rng.choice(("notes.md", "images/x.heic", "labels/x.txt", "x.json", "x.xml"))] = b"x"


def _mutate_text(name: str, data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return mutate_bytes(data, rng)
    try:
        if name.lower().endswith(".json"):
            return _mutate_json(json.loads(data), rng)
        if name.lower().endswith(".xml"):
            return _mutate_xml(ElementTree.fromstring(data), rng)
    except (ValueError, ElementTree.ParseError, RecursionError):
        return mutate_bytes(data, rng)
    return _mutate_rows(data, rng)


def _mutate_json(tree: Any, rng: random.Random) -> bytes:
    places: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        waiting += [node[key] for key in keys if isinstance(node[key], dict | list)]
    if not places:
        return _json(rng.choice(ODD))
    node, key = rng.choice(places)
    change = rng.randrange(5)
    if change == 0:
        del node[key]
    elif change == 1 and isinstance(node, list):
        node.append(node[key])
    elif change == 2 and isinstance(node, dict):
        node[rng.choice(("", "ID", key.upper(), key + "s"))] = node.pop(key)
    elif change == 3:
        other, place = rng.choice(places)
        # What moves is copied, so that the tree stays one.
        node[key] = json.loads(json.dumps(other[place])) if place in _keys(other) else None
    else:
        node[key] = rng.choice(ODD)
    return _json(tree)


def _keys(node: Any) -> Any:
    return node if isinstance(node, dict) else range(len(node))


def _mutate_xml(root: ElementTree.Element, rng: random.Random) -> bytes:
    parents = [(parent, child) for parent in root.iter() for child in parent]
    element = rng.choice([*root.iter()])
    change = rng.randrange(6)
    if change == 0 and parents:
        parent, child = rng.choice(parents)
        parent.remove(child)
    elif change == 1 and parents:
        parent, child = rng.choice(parents)
        rng.choice([*root.iter()]).append(ElementTree.fromstring(ElementTree.tostring(child)))
    elif change == 2:
        element.tag = rng.choice((element.tag.upper(), "x", "objects", "object", "bndbox", "name"))
    elif change == 3 and element.attrib:
        element.set(rng.choice([*element.attrib]), rng.choice(ODD_TEXT))
    elif change == 4 and element.attrib:
        del element.attrib[rng.choice([*element.attrib])]
    else:
        element.text = rng.choice(ODD_TEXT)
    return ElementTree.tostring(root)


def _mutate_rows(data: bytes, rng: random.Random) -> bytes:
    """Of CSV, YAML or a text file."""
    lines = data.decode("utf-8", "replace").splitlines()
    if not lines:
        return rng.choice(ODD_TEXT).encode()
    at = rng.randrange(len(lines))
    change = rng.randrange(5)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(at, lines[rng.randrange(len(lines))])
    elif change == 2:
        lines[at] = rng.choice(ODD_TEXT)
    else:
        words = [*re.finditer(r"[^\s,:]+|[,:]", lines[at])]
        if words:
            word = rng.choice(words)
            odd = rng.choice((*ODD_TEXT, ",", ":", '"', "[", "&a", "*a", "!!python/object:os"))
            lines[at] = lines[at][: word.start()] + odd + lines[at][word.end() :]
    return "\n".join(lines).encode()
