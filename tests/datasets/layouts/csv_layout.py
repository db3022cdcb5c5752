"""A layout as small as one can be: `boxes.csv`, a line `image,class,xmin,ymin,xmax,ymax` a box."""

import csv
import os

from datasets.layouts.annotations import Annotation, Object
from datasets.layouts.source import AnnotatedImage, Source


def recognises(path):
    return os.path.exists(f"{path}/boxes.csv")


def open_source(options):
    objects, left_out = {}, {}
    with open(f"{options.folder}/boxes.csv") as file:
        for number, (name, label, *sides) in enumerate(csv.reader(file), start=1):
            if len(sides) == 4:
                xmin, ymin, xmax, ymax = map(float, sides)
                thing = Object(label, (ymin, xmin, ymax, xmax), difficult=False, truncated=False)
                objects.setdefault(name, []).append(thing)
            else:
                left_out[f"boxes.csv, line {number}"] = f"has {len(sides)} numbers, and a box four"
    images = {
        name: AnnotatedImage(
            place=f"boxes.csv, {name}",
            annotation=Annotation(name, width=0, height=0, depth=3, objects=tuple(things)),
            path=os.path.join(options.folder, name),
        )
        for name, things in objects.items()
    }
    labels = {thing.name for things in objects.values() for thing in things}
    return Source(images, labels=tuple(sorted(labels)), left_out=left_out)
