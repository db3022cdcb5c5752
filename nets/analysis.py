"""What a network consists of, read from its graph: the job of slim's model_analyzer."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf


class Layer(NamedTuple):
    """One convolution, or another holder of variables.

    Attributes:
      name: scope of its variables.
      output: height, width and channels of its result; () where it is no convolution.
      parameters: numbers in its variables.
      multiply_adds: of one image, in the products of the convolution.
    """

    name: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def layers(graph: tf.Graph, variables: Mapping[str, tf.Variable]) -> tuple[Layer, ...]:
    """The layers in the order in which their variables were made.

    The result of a convolution is looked up behind its bias: a dilated one is several operations
    before that.

    Args:
      graph: of the network, for one image.
      variables: by slim name.
    """
    sizes: dict[str, int] = {}
    for name, variable in variables.items():
        layer = name.rpartition("/")[0].removesuffix("/BatchNorm")
        sizes[layer] = sizes.get(layer, 0) + math.prod(variable.shape)
    results = {
        op.name.removesuffix("/BiasAdd"): tuple(op.outputs[0].shape[1:])
        for op in graph.get_operations()
        if op.type == "BiasAdd"
    }
    found = []
    for name, parameters in sizes.items():
        output, products = results.get(name, ()), 0
        if output:
            kinds = (f"{name}/weights", f"{name}/depthwise_weights")
            weights = next(variables[kind] for kind in kinds if kind in variables)
            products = output[0] * output[1] * math.prod(weights.shape)
        found.append(Layer(name, output, parameters, products))
    return tuple(found)


def format_table(rows: Sequence[Layer]) -> list[str]:
    """A line for each layer, and one with the sums."""
    parameters, products = sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows)
    shown = [*rows, Layer("all layers", (), parameters, products)]
    width = max(len(row.name) for row in shown)
    lines = [f"{'layer':{width}} {'output':>12} {'parameters':>12} {'multiply-adds':>16}"]
    for row in shown:
        output = "x".join(map(str, row.output))
        numbers = f"{row.parameters:>12,} {row.multiply_adds:>16,}"
        lines.append(f"{row.name:{width}} {output:>12} {numbers}")
    return lines
