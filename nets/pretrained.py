"""Weights of other checkpoints for a network's variables, by name: a plan first, then the values.

Read are slim's and Caffe-converted SSD checkpoints, slim's VGG-16, and our own. A checkpoint's
scope is detected from the place of the weights of the network's first layer. Layers that the
network cuts out of a classifier's (`ImportRules`; VGG's conv6 and conv7) are restored too, even
where a script excludes and names nothing.
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
    """How to read a checkpoint; the fields but the last are the flags of these names.

    Attributes:
      is_of_other_scores: the checkpoint's logits are not those of a softmax, which training is for:
        the predictors of classes start new.
    """

    checkpoint_path: str
    checkpoint_model_scope: str | None = None
    checkpoint_exclude_scopes: tuple[str, ...] = ()
    ignore_missing_vars: bool = False
    initialize_last_layer: bool = True
    last_layers_contain_logits_only: bool = False
    use_moving_average: bool = True
    is_of_other_scores: bool = False


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
    if not any(network.is_head(name) for name in there):
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
    if request.is_of_other_scores:
        notes += (
            "The class predictors are initialised anew: the checkpoint's are of sigmoid scores, "
            "and training is for softmax.",
        )
    if any(
        row.action == "new" and _whole_source(row.name, scope, network) in there for row in rows
    ):
        reduced = network.imports.reduced
        notes += (
            f"{' or '.join(reduced)} are initialised anew although the checkpoint's "
            f"{' and '.join(reduced.values())} could fill them.",
        )
    return Plan(
        tuple(row._replace(action="new") if row.action == "missing" else row for row in rows), notes
    )


def values(
    plan: Plan, read: Callable[[str], np.ndarray], *, network: Network, is_described: bool = False
) -> dict[str, np.ndarray]:
    """The values of all variables that are not new, by the network's names.

    Args:
      plan: of `make_plan`.
      read: a tensor of the checkpoint by its name there.
      network: that of the plan.
      is_described: whether the checkpoint is one of ours, which describes itself.
    """
    found, rules = {}, network.imports
    for row in plan.rows:
        if row.source:
            value = read(row.source)
            if row.action == "reduced":
                value = rules.reduce(row.source, value)
            elif not is_described:
                value = rules.translate(row.name, value)
            found[row.name] = value
    return found


def keeps_heads(there: Iterable[str], request: Request, network: Network) -> bool:
    """Whether predictors of the checkpoint will be used, and with them its anchors.

    Those of boxes alone depend on the anchors too.
    """
    excluded = [scope.strip("/").partition("/")[2] for scope in request.checkpoint_exclude_scopes]
    classes_only = request.last_layers_contain_logits_only
    heads = ["/".join(name.split("/")[-3:]) for name in there if name.endswith("/weights")]
    return any(
        network.is_head(head)
        and (request.initialize_last_layer or not network.is_head(head, classes_only=classes_only))
        and not any(scope and in_scope(head, scope) for scope in excluded)
        for head in heads
    )


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
    first, own_scope = f"{network.first_layer}/weights", network.variable_scope
    here, classifiers = network.imports.backbone
    ends = (first, f"{classifiers}{first.removeprefix(here)}")
    found = sorted(
        name.removesuffix(end)
        for end in dict.fromkeys(ends)
        for name in there
        if name == end or name.endswith(f"/{end}")
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
        return (own_scope if own_scope in detected else detected[0]), ()
    if any(source in there for name in variables for source in _sources(name, asked, network)):
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


def _sources(name: str, scope: str, network: Network) -> tuple[str, ...]:
    """Where a variable may be in a checkpoint: under its own name, or the classifier's."""
    relative = name.removeprefix(f"{network.variable_scope}/")
    here, classifiers = network.imports.backbone
    names = [relative]
    if here and in_scope(relative, here):
        names.append(f"{classifiers}{relative.removeprefix(here)}".lstrip("/"))
    return tuple(f"{scope}/{each}" if scope else each for each in names)


def _whole_source(name: str, scope: str, network: Network) -> str:
    """The classifier's layer that one can be cut out of; "" for the others."""
    reduced = network.imports.reduced
    layer, _, rest = name.removeprefix(f"{network.variable_scope}/").partition("/")
    return _sources(f"{reduced[layer]}/{rest}", scope, network)[0] if layer in reduced else ""


def _row(name: str, there: Shapes, request: Request, scope: str, network: Network) -> Row:
    if any(in_scope(name, excluded) for excluded in request.checkpoint_exclude_scopes):
        return Row(name, "new")
    classes_only = request.last_layers_contain_logits_only
    if not request.initialize_last_layer and network.is_head(name, classes_only=classes_only):
        return Row(name, "new")
    if request.is_of_other_scores and network.is_head(name, classes_only=True):
        return Row(name, "new")
    for source in _sources(name, scope, network):
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
            f"The checkpoint lacks {_some(missing)}: pass --ignore_missing_vars to initialise them "
            "anew, or name them in --checkpoint_exclude_scopes."
        )
    shapes = {row.name: _shape(row, there, network) for row in rows if row.source}
    wrong = [row for row in rows if row.source and shapes[row.name] != tuple(variables[row.name])]
    if wrong and all(network.is_head(row.name) for row in wrong):
        raise InputError(
            f"The checkpoint's {_some([row.name for row in wrong])} belong to another number of "
            "classes or anchors: pass --initialize_last_layer=False to initialise the predictors "
            "anew."
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
