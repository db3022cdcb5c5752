"""Weights of other checkpoints for a network's variables, by name: a plan first, then the values.

Read are slim's and Caffe-converted SSD checkpoints, slim's VGG-16, and our own. A checkpoint's
scope is detected from where its `conv1/conv1_1/weights` stands. VGG's fully connected fc6 and fc7
become the convolutions conv6 and conv7 by taking every third row and column and every fourth
channel ("decimation", as in Caffe SSD), also where a script excludes nothing and says nothing of
them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nets.variables import in_scope
from runtime.errors import InputError

_FIRST_LAYER = "conv1/conv1_1/weights"
_FROM_VGG = {"conv6": "fc6", "conv7": "fc7"}
ACTIONS = ("restored", "renamed", "reduced", "new")
Shapes = Mapping[str, Sequence[int]]


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
    variables: Shapes, there: Shapes, request: Request, *, model_name: str, average: str = ""
) -> Plan:
    """Decides where each variable's value comes from.

    Args:
      variables: shapes of the network's variables by name.
      there: shapes of the checkpoint's tensors by name.
      request: what the user asked for.
      model_name: scope of the network's variables.
      average: what stands behind a variable's name in that of its moving average, if these are
        wanted.

    Raises:
      InputError: variables are missing or have other shapes, or nothing would be restored.
    """
    scope, notes = _choose_scope(variables, there, request, model_name)
    rows = [_row(name, there, request, scope, model_name) for name in variables]
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
    _check(rows, variables, there, request)
    if any(
        row.action == "new" and _vgg_source(row.name, scope, model_name) in there for row in rows
    ):
        notes += (
            "conv6 or conv7 start new although the checkpoint's fc6 and fc7 could fill them.",
        )
    return Plan(
        tuple(row._replace(action="new") if row.action == "missing" else row for row in rows), notes
    )


def values(plan: Plan, read: Callable[[str], np.ndarray]) -> dict[str, np.ndarray]:
    """The values of all variables that are not new, by the network's names.

    Args:
      plan: of `make_plan`.
      read: a tensor of the checkpoint by its name there.
    """
    found = {}
    for row in plan.rows:
        if row.source:
            value = read(row.source)
            found[row.name] = reduce_vgg(row.source, value) if row.action == "reduced" else value
    return found


def reduce_vgg(name: str, value: np.ndarray) -> np.ndarray:
    """Every third row and column and every fourth channel of fc6 and fc7, as convolutions.

    Args:
      name: of the tensor, with fc6 or fc7 in it.
      value: fc6 f32[7, 7, 512, 4096], fc7 f32[1, 1, 4096, 4096], or a bias f32[4096].

    Returns:
      conv6 f32[3, 3, 512, 1024], conv7 f32[1, 1, 1024, 1024], or a bias f32[1024].
    """
    if value.ndim == 1:
        return value[::4]
    return value[::3, ::3, :, ::4] if "/fc6/" in f"/{name}" else value[:, :, ::4, ::4]


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
    variables: Shapes, there: Shapes, request: Request, model_name: str
) -> tuple[str, tuple[str, ...]]:
    found = sorted(name.removesuffix(_FIRST_LAYER) for name in there if name.endswith(_FIRST_LAYER))
    detected = [name.rstrip("/") for name in found]
    asked = request.checkpoint_model_scope
    if asked is None:
        if not detected:
            raise InputError(
                f"--checkpoint_path={request.checkpoint_path} holds no {_FIRST_LAYER} in any "
                "scope: give a checkpoint of SSD or VGG-16 in slim's names."
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


def _vgg_source(name: str, scope: str, model_name: str) -> str:
    """The fully connected layer that a convolution can be reduced from; "" for the others."""
    layer, _, rest = name.removeprefix(f"{model_name}/").partition("/")
    return _source(f"{_FROM_VGG[layer]}/{rest}", scope, model_name) if layer in _FROM_VGG else ""


def _row(name: str, there: Shapes, request: Request, scope: str, model_name: str) -> Row:
    if any(in_scope(name, excluded) for excluded in request.checkpoint_exclude_scopes):
        return Row(name, "new")
    logits_only = request.last_layers_contain_logits_only
    if not request.initialize_last_layer and is_last_layer(name, logits_only=logits_only):
        return Row(name, "new")
    source = _source(name, scope, model_name)
    if source in there:
        return Row(name, "restored" if source == name else "renamed", source)
    source = _vgg_source(name, scope, model_name)
    return Row(name, "reduced", source) if source in there else Row(name, "missing")


def _averaged(row: Row, there: Shapes, average: str) -> Row:
    source = f"{row.source}{average}"
    return row._replace(source=source) if row.source and source in there else row


def _check(rows: list[Row], variables: Shapes, there: Shapes, request: Request) -> None:
    missing = [row.name for row in rows if row.action == "missing"]
    if missing and not request.ignore_missing_vars:
        raise InputError(
            f"The checkpoint lacks {_some(missing)}: pass --ignore_missing_vars to start them new, "
            "or name them in --checkpoint_exclude_scopes."
        )
    wrong = [row for row in rows if row.source and _shape(row, there) != tuple(variables[row.name])]
    if wrong and all(is_last_layer(row.name) for row in wrong):
        raise InputError(
            f"The checkpoint's {_some([row.name for row in wrong])} belong to another number of "
            "classes or anchors: pass --initialize_last_layer=False to start the predictors new."
        )
    if wrong:
        raise InputError(
            f"The checkpoint's {_some([f'{row.name} {_shape(row, there)}' for row in wrong])} have "
            "other shapes than the network's: check --model_name and --depth_multiplier."
        )
    if not any(row.source for row in rows):
        raise InputError(
            f"Nothing would be restored from --checkpoint_path={request.checkpoint_path}: check "
            "--checkpoint_exclude_scopes and --checkpoint_model_scope."
        )


def _shape(row: Row, there: Shapes) -> tuple[int, ...]:
    """The shape that a source has once it is reduced."""
    shape = tuple(there[row.source])
    if row.action != "reduced":
        return shape
    return reduce_vgg(row.source, np.broadcast_to(np.float32(0), shape)).shape


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
