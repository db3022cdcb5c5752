"""Weights of other checkpoints for a network's variables, by name: a plan first, then the values.

Read are slim's and Caffe-converted SSD checkpoints, slim's VGG-16, and our own. A checkpoint's
scope is detected from where the weights of the network's first layer stand. Layers that the network
cuts out of a classifier's (`ImportRules`; VGG's conv6 and conv7) are, also where a script excludes
nothing and says nothing of them.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import numpy as np

from nets.network import Network, Shapes
from nets.variables import in_scope
from runtime.errors import InputError

ACTIONS = ("restored", "renamed", "reduced", "new")


class Row(NamedTuple):
    """What becomes of one variable.

    Attributes:
      name: the network's variable.
      action: "restored", "renamed", "reduced" or "new".
      source: its name in the checkpoint; "" when new.
    """

    name: str
    action: str
    source: str = ""


class Plan(NamedTuple):
    """What becomes of every variable, and what the user should know of it."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def count(self, *actions: str) -> int:
        """How many variables meet one of these actions."""
        return sum(row.action in actions for row in self.rows)


class Request(NamedTuple):
    """How to read a checkpoint; the fields are the flags of these names."""

    checkpoint_path: str
    checkpoint_model_scope: str | None = None
    checkpoint_exclude_scopes: tuple[str, ...] = ()
    ignore_missing_vars: bool = False
    initialize_last_layer: bool = True
    last_layers_contain_logits_only: bool = False
    use_moving_average: bool = True


def make_plan(
    variables: Shapes, there: Shapes, request: Request, *, network: Network, average: str = ""
) -> Plan:
    """Decides where each variable's value comes from.

    Args:
      variables: shapes of the network's variables by name.
      there: shapes of the checkpoint's tensors by name.
      request: what the user asked for.
      network: its name is the scope of the variables, and it knows what it can start from.
      average: what stands behind a variable's name in that of its moving average, if these are
        wanted.

    Raises:
      InputError: variables are missing or have other shapes, or nothing would be restored.
    """
    scope, notes = _choose_scope(variables, there, request, network)
    rows = [_row(name, there, request, scope, network) for name in variables]
    if not any("_box/" in name for name in there):
        rows = [row._replace(action="new") if row.action == "missing" else row for row in rows]
    if average:
        rows = [_averaged(row, there, average) for row in rows]
    averages = sum(bool(average) and row.source.endswith(average) for row in rows)
    if averages:
        notes += (
            f"{averages} values are moving averages, as evaluation takes them: "
            "--use_moving_average=False takes the raw weights.",
        )
    _check(rows, variables, there, request, network)
    if any(
        row.action == "new" and _whole_source(row.name, scope, network) in there for row in rows
    ):
        reduced = network.imports.reduced
        notes += (
            f"{' or '.join(reduced)} start new although the checkpoint's "
            f"{' and '.join(reduced.values())} could fill them.",
        )
    return Plan(
        tuple(row._replace(action="new") if row.action == "missing" else row for row in rows), notes
    )


def values(
    plan: Plan, read: Callable[[str], np.ndarray], *, network: Network
) -> dict[str, np.ndarray]:
    """The values of all variables that are not new, by the network's names.

    Args:
      plan: of `make_plan`.
      read: a tensor of the checkpoint by its name there.
      network: that of the plan.
    """
    found, reduce = {}, network.imports.reduce
    for row in plan.rows:
        if row.source:
            value = read(row.source)
            found[row.name] = reduce(row.source, value) if row.action == "reduced" else value
    return found


def keeps_heads(there: Iterable[str], request: Request) -> bool:
    """Whether predictors of the checkpoint will be used, and with them its anchors.

    Those of boxes alone depend on the anchors too.
    """
    excluded = [scope.strip("/").partition("/")[2] for scope in request.checkpoint_exclude_scopes]
    logits_only = request.last_layers_contain_logits_only
    heads = ["/".join(name.split("/")[-3:]) for name in there if name.endswith("/weights")]
    return any(
        is_last_layer(head)
        and (request.initialize_last_layer or not is_last_layer(head, logits_only=logits_only))
        and not any(scope and in_scope(head, scope) for scope in excluded)
        for head in heads
    )


def is_last_layer(name: str, *, logits_only: bool = False) -> bool:
    """Whether a variable is of the predictors of classes and boxes, or of classes alone."""
    return "/conv_cls/" in name or ("/conv_loc/" in name and not logits_only)


def format_plan(plan: Plan, *, frozen: Collection[str] = ()) -> str:
    """A line for each variable, and one that counts; `frozen` ones are marked."""
    width = max(len(row.name) for row in plan.rows)
    lines = []
    for row in plan.rows:
        mark = "frozen" if row.name in frozen else ""
        lines.append(f"{row.action:9} {mark:6} {row.name:{width}}  {row.source}".rstrip())
    counts = [f"{plan.count(action)} {action}" for action in ACTIONS]
    return "\n".join([*lines, ", ".join([*counts, f"{len(frozen)} frozen"]), *plan.notes])


def _choose_scope(
    variables: Shapes, there: Shapes, request: Request, network: Network
) -> tuple[str, tuple[str, ...]]:
    first, model_name = f"{network.first_layer}/weights", network.parameters.name
    found = sorted(
        name.removesuffix(first) for name in there if name == first or name.endswith(f"/{first}")
    )
    detected = [name.rstrip("/") for name in found]
    asked = request.checkpoint_model_scope
    if asked is None:
        if not detected:
            kinds = " or ".join(filter(None, ["SSD", network.imports.classifier]))
            raise InputError(
                f"--checkpoint_path={request.checkpoint_path} holds no {first} in any scope: "
                f"give a checkpoint of {kinds} in slim's names."
            )
        return (model_name if model_name in detected else detected[0]), ()
    if any(_source(name, asked, model_name) in there for name in variables):
        return asked, ()
    if detected:
        return detected[0], (
            f"Warning: --checkpoint_model_scope={asked} matches nothing in the checkpoint; its "
            f"scope is {detected[0]}, which is used.",
        )
    raise InputError(
        f"--checkpoint_model_scope={asked} matches nothing in --checkpoint_path="
        f"{request.checkpoint_path}: it holds {', '.join(sorted(there)[:3])}, ..."
    )


def _source(name: str, scope: str, model_name: str) -> str:
    relative = name.removeprefix(f"{model_name}/")
    return f"{scope}/{relative}" if scope else relative


def _whole_source(name: str, scope: str, network: Network) -> str:
    """The classifier's layer that one can be cut out of; "" for the others."""
    model_name, reduced = network.parameters.name, network.imports.reduced
    layer, _, rest = name.removeprefix(f"{model_name}/").partition("/")
    return _source(f"{reduced[layer]}/{rest}", scope, model_name) if layer in reduced else ""


def _row(name: str, there: Shapes, request: Request, scope: str, network: Network) -> Row:
    if any(in_scope(name, excluded) for excluded in request.checkpoint_exclude_scopes):
        return Row(name, "new")
    logits_only = request.last_layers_contain_logits_only
    if not request.initialize_last_layer and is_last_layer(name, logits_only=logits_only):
        return Row(name, "new")
    source = _source(name, scope, network.parameters.name)
    if source in there:
        return Row(name, "restored" if source == name else "renamed", source)
    source = _whole_source(name, scope, network)
    return Row(name, "reduced", source) if source in there else Row(name, "missing")


def _averaged(row: Row, there: Shapes, average: str) -> Row:
    source = f"{row.source}{average}"
    return row._replace(source=source) if row.source and source in there else row


def _check(
    rows: list[Row], variables: Shapes, there: Shapes, request: Request, network: Network
) -> None:
    missing = [row.name for row in rows if row.action == "missing"]
    if missing and not request.ignore_missing_vars:
        raise InputError(
            f"The checkpoint lacks {_some(missing)}: pass --ignore_missing_vars to start them new, "
            "or name them in --checkpoint_exclude_scopes."
        )
    shapes = {row.name: _shape(row, there, network) for row in rows if row.source}
    wrong = [row for row in rows if row.source and shapes[row.name] != tuple(variables[row.name])]
    if wrong and all(is_last_layer(row.name) for row in wrong):
        raise InputError(
            f"The checkpoint's {_some([row.name for row in wrong])} belong to another number of "
            "classes or anchors: pass --initialize_last_layer=False to start the predictors new."
        )
    if wrong:
        raise InputError(
            f"The checkpoint's {_some([f'{row.name} {shapes[row.name]}' for row in wrong])} have "
            "other shapes than the network's: check --model_name and --depth_multiplier."
        )
    if not any(row.source for row in rows):
        raise InputError(
            f"Nothing would be restored from --checkpoint_path={request.checkpoint_path}: check "
            "--checkpoint_exclude_scopes and --checkpoint_model_scope."
        )


def _shape(row: Row, there: Shapes, network: Network) -> tuple[int, ...]:
    """The shape that a source has once it is reduced."""
    shape = tuple(there[row.source])
    if row.action != "reduced":
        return shape
    return network.imports.reduce(row.source, np.broadcast_to(np.float32(0), shape)).shape


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
