"""How a new run starts: from scratch, or from the weights of another checkpoint.

A checkpoint in slim's names says neither its anchors nor its input scale (see `description`); our
own describe themselves.
"""

from typing import Any, NamedTuple

import tf_utils
from model import checkpoints
from model.description import Description
from model.detector import Detector
from nets import nets_factory, pretrained
from runtime.errors import InputError
from training.settings import TrainSettings


class InitialWeights(NamedTuple):
    """Where the weights of a new run come from.

    Attributes:
      request: the checkpoint, its path resolved; None from scratch.
      anchors: preset, unless the flag names one.
      input_scale: unless the flag gives one.
      initializer: of the variables that no checkpoint fills.
      note: what the user should know of these choices; "" for nothing.
      made_for: fields of `Description` with the values that the weights mean nothing without.
    """

    request: pretrained.Request | None = None
    anchors: str = "voc"
    input_scale: float = nets_factory.get_network(nets_factory.DEFAULT).input_scale
    initializer: str = "he"
    note: str = ""
    made_for: tuple[tuple[str, Any], ...] = ()


def find_initial_weights(settings: TrainSettings) -> InitialWeights:
    """Looks into --checkpoint_path, if there is one; weights are not read yet.

    Raises:
      InputError: there is no checkpoint, or it cannot be read.
    """
    network = nets_factory.get_network(settings.model_name)
    if not settings.checkpoint_path:
        return InitialWeights(input_scale=network.input_scale)
    request = pretrained.Request(
        checkpoint_path=checkpoints.resolve(settings.checkpoint_path),
        checkpoint_model_scope=settings.checkpoint_model_scope,
        checkpoint_exclude_scopes=settings.checkpoint_exclude_scopes,
        ignore_missing_vars=settings.ignore_missing_vars,
        initialize_last_layer=settings.initialize_last_layer,
        last_layers_contain_logits_only=settings.last_layers_contain_logits_only,
        use_moving_average=settings.use_moving_average,
    )
    header = checkpoints.read_header(request.checkpoint_path)
    if header.description:
        own = Description.from_json(header.description)
        request = request._replace(is_of_other_scores=own.score != "softmax")
        needed = ["input_scale"]
        if pretrained.keeps_heads(header.names, request, network):
            needed += ["anchors"] if request.is_of_other_scores else ["labels", "anchors"]
        made_for = tuple((name, getattr(own, name)) for name in needed)
        return InitialWeights(request, own.anchors, own.input_scale, "xavier", made_for=made_for)
    known = network.undescribed
    if not pretrained.keeps_heads(header.names, request, network):
        return InitialWeights(request, "voc", known.input_scale, "xavier")
    request = request._replace(is_of_other_scores=known.score != "softmax")
    note = "" if settings.anchors else known.anchors_note
    return InitialWeights(request, known.anchors, known.input_scale, "xavier", note)


def check_fits(origin: InitialWeights, description: Description) -> None:
    """Refuses a network for which the weights of one's own checkpoint were not made.

    Raises:
      InputError: it has other classes or anchors than the predictors, or another input scale.
    """
    for name, value in origin.made_for:
        own, remedy = getattr(description, name), ""
        if own == value:
            continue
        given = f"--{name}={own}"
        if name == "labels":
            given, value = f"The records' list of classes, {','.join(own)},", ",".join(value)
        if name != "input_scale":
            remedy = ", or initialise the predictors anew with --initialize_last_layer=False"
        raise InputError(
            f"{given} differs from the {value} of the checkpoint to start from: keep to "
            f"{value}{remedy}."
        )


def initialize(detector: Detector, origin: InitialWeights) -> pretrained.Plan | None:
    """Gives a new network its start; None from scratch.

    Raises:
      InputError: the checkpoint does not fit the network, or is damaged.
    """
    if origin.request is None:
        return None
    plan, init_fn = _plan(detector, origin.request)
    with checkpoints.explain_read_errors(origin.request.checkpoint_path):
        init_fn()
    return plan


def describe_plan(detector: Detector, origin: InitialWeights, settings: TrainSettings) -> str:
    """What --dry_run prints: a line for each variable, with what will not be trained marked.

    Raises:
      InputError: as `initialize`.
    """
    trained = tf_utils.get_variables_to_train(detector.variables_by_name, settings.trainable_scopes)
    if origin.request:
        plan, _ = _plan(detector, origin.request)
    else:
        plan = pretrained.Plan(
            tuple(pretrained.Row(name, "new") for name in detector.variables_by_name), ()
        )
    return pretrained.format_plan(plan, frozen=detector.variables_by_name.keys() - trained.keys())


def without_effect(settings: TrainSettings, resumed: str | None) -> str:
    """The sentence for a --checkpoint_path that is not started from; else "".

    Args:
      settings: of the run.
      resumed: the checkpoint in train_dir that the run resumes from, if there is one.
    """
    if settings.checkpoint_path and resumed:
        return (
            f"WARNING: --checkpoint_path={settings.checkpoint_path} is NOT used: this run resumes "
            f"from {resumed}. Pass --overwrite to start over, or choose a new --train_dir."
        )
    return ""


def _plan(detector: Detector, request: pretrained.Request):
    return tf_utils.get_init_fn(
        request, detector.variables_by_name, model_name=detector.parameters.name
    )
