"""Plans for other checkpoints: renamed, reduced, missing, mis-shaped and excluded variables."""

import numpy as np
import pytest

from nets import nets_factory, pretrained
from nets.pretrained import Request, Row
from runtime.errors import InputError

MODEL = "ssd_300_vgg"
RECORD = nets_factory.get_network(MODEL)
NETWORK = {
    f"{MODEL}/conv1/conv1_1/weights": (3, 3, 3, 4),
    f"{MODEL}/conv1/conv1_1/biases": (4,),
    f"{MODEL}/conv10/weights": (1, 1, 4, 4),
    f"{MODEL}/block4_box/conv_loc/weights": (3, 3, 4, 16),
    f"{MODEL}/block4_box/conv_cls/weights": (3, 3, 4, 84),
}
VGG_LAYERS = {
    f"{MODEL}/conv1/conv1_1/weights": (3, 3, 3, 4),
    f"{MODEL}/conv6/weights": (3, 3, 2, 3),
    f"{MODEL}/conv6/biases": (3,),
    f"{MODEL}/conv7/weights": (1, 1, 3, 3),
    f"{MODEL}/block8/conv1x1/weights": (1, 1, 3, 2),
}
VGG = {
    "vgg_16/conv1/conv1_1/weights": (3, 3, 3, 4),
    "vgg_16/fc6/weights": (7, 7, 2, 12),
    "vgg_16/fc6/biases": (12,),
    "vgg_16/fc7/weights": (1, 1, 12, 12),
    "vgg_16/fc8/weights": (1, 1, 12, 1000),
}


def plan(there, variables=NETWORK, **request):
    return pretrained.make_plan(variables, there, Request("some.ckpt", **request), network=RECORD)


def actions(made) -> dict[str, str]:
    return {row.name.removeprefix(f"{MODEL}/"): row.action for row in made.rows}


def scoped(scope: str, shapes=NETWORK) -> dict:
    return {
        name.replace(f"{MODEL}/", f"{scope}/" if scope else ""): s for name, s in shapes.items()
    }


def test_same_names_are_restored():
    made = plan({**NETWORK, "global_step": ()})
    assert set(actions(made).values()) == {"restored"}
    assert made.notes == ()


@pytest.mark.parametrize("scope", ["ssd", "a/b", ""])
def test_scope_is_detected(scope):
    made = plan(scoped(scope))
    assert set(actions(made).values()) == {"renamed"}
    assert made.rows[0].source == "/".join(filter(None, [scope, "conv1/conv1_1/weights"]))


def test_own_scope_wins_where_there_are_several():
    made = plan({**scoped("another"), **NETWORK})
    assert set(actions(made).values()) == {"restored"}


def test_wrong_scope_is_warned_of_and_the_detected_one_used():
    made = plan(NETWORK, checkpoint_model_scope="vgg_16")
    assert set(actions(made).values()) == {"restored"}
    assert "--checkpoint_model_scope=vgg_16 matches nothing" in made.notes[0]
    assert "is ssd_300_vgg, which is used" in made.notes[0]


def test_vgg_fills_the_backbone_and_reduces_the_connected_layers():
    made = plan(VGG, VGG_LAYERS, checkpoint_model_scope="vgg_16")
    assert actions(made) == {
        "conv1/conv1_1/weights": "renamed",
        "conv6/weights": "reduced",
        "conv6/biases": "reduced",
        "conv7/weights": "reduced",
        "block8/conv1x1/weights": "new",
    }


def test_reduction_takes_every_third_row_and_fourth_channel():
    fc6 = np.arange(7 * 7 * 2 * 12).reshape(7, 7, 2, 12)
    fc7 = np.arange(12 * 12).reshape(1, 1, 12, 12)
    arrays = {"vgg_16/fc6/weights": fc6, "vgg_16/fc6/biases": np.arange(12),
              "vgg_16/fc7/weights": fc7}  # fmt: skip
    made = plan(VGG, VGG_LAYERS)
    values = pretrained.values(
        made, lambda name: arrays.get(name, np.zeros(VGG[name])), network=RECORD
    )
    conv6 = values[f"{MODEL}/conv6/weights"]
    for row, column, output in np.ndindex(3, 3, 3):
        expected = fc6[3 * row, 3 * column, :, 4 * output]
        np.testing.assert_array_equal(conv6[row, column, :, output], expected)
    np.testing.assert_array_equal(values[f"{MODEL}/conv6/biases"], [0, 4, 8])
    np.testing.assert_array_equal(values[f"{MODEL}/conv7/weights"][0, 0, 1], fc7[0, 0, 4, ::4])
    assert f"{MODEL}/block8/conv1x1/weights" not in values


def test_excluded_conv6_starts_new_and_says_what_is_given_up():
    made = plan(VGG, VGG_LAYERS, checkpoint_exclude_scopes=(f"{MODEL}/conv6", f"{MODEL}/conv7"))
    assert actions(made)["conv6/weights"] == "new"
    assert "fc6 and fc7" in made.notes[0]


def test_excluded_scope_matches_whole_components():
    made = plan(NETWORK, checkpoint_exclude_scopes=(f"{MODEL}/conv1",))
    assert actions(made)["conv1/conv1_1/biases"] == "new"
    assert actions(made)["conv10/weights"] == "restored"


def test_missing_variables_are_named_unless_ignored():
    there = {name: shape for name, shape in NETWORK.items() if "conv10" not in name}
    with pytest.raises(
        InputError, match=r"lacks ssd_300_vgg/conv10/weights: pass --ignore_missing"
    ):
        plan(there)
    assert actions(plan(there, ignore_missing_vars=True))["conv10/weights"] == "new"


OTHER_CLASSES = {**NETWORK, f"{MODEL}/block4_box/conv_cls/weights": (3, 3, 4, 12)}


def test_heads_of_other_classes_are_refused_by_name_with_the_flag_to_pass():
    with pytest.raises(
        InputError, match=r"block4_box/conv_cls/weights.*initialize_last_layer=False"
    ):
        plan(OTHER_CLASSES)


def test_heads_of_other_classes_start_new_on_request():
    made = plan(OTHER_CLASSES, initialize_last_layer=False)
    assert actions(made)["block4_box/conv_loc/weights"] == "new"
    assert actions(made)["block4_box/conv_cls/weights"] == "new"
    made = plan(OTHER_CLASSES, initialize_last_layer=False, last_layers_contain_logits_only=True)
    assert actions(made)["block4_box/conv_loc/weights"] == "restored"


def test_other_shapes_of_the_backbone_are_refused_with_both_remedies():
    there = {**NETWORK, f"{MODEL}/conv10/weights": (1, 1, 8, 8)}
    with pytest.raises(InputError, match=r"conv10/weights \(1, 1, 8, 8\).*--depth_multiplier"):
        plan(there)


def test_nothing_restored_is_an_error():
    with pytest.raises(InputError, match="Nothing would be restored"):
        plan(NETWORK, checkpoint_exclude_scopes=(MODEL,))
    with pytest.raises(InputError, match="in any scope"):
        plan({"resnet/conv1/weights": (7, 7, 3, 64)})
    with pytest.raises(InputError, match="--checkpoint_model_scope=x matches nothing"):
        plan({"resnet/conv1/weights": (7, 7, 3, 64)}, checkpoint_model_scope="x")


HEADS = tuple(f"{MODEL}/block4_box/{head}" for head in ("conv_cls", "conv_loc"))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request("c"), True),
        (Request("c", initialize_last_layer=False), False),
        (Request("c", checkpoint_exclude_scopes=(f"{MODEL}/block4_box",)), False),
        (Request("c", checkpoint_exclude_scopes=(f"{MODEL}/block4",)), True),
        (Request("c", checkpoint_exclude_scopes=(f"{MODEL}/block4_box/conv_cls",)), True),
        (Request("c", checkpoint_exclude_scopes=HEADS), False),
        (Request("c", checkpoint_exclude_scopes=HEADS, initialize_last_layer=False), False),
        (
            Request("c", initialize_last_layer=False, last_layers_contain_logits_only=True),
            True,  # the boxes' predictors stay
        ),
    ],
)
def test_heads_are_kept_unless_excluded(request_, expected):
    for scope in (MODEL, ""):
        assert pretrained.keeps_heads(scoped(scope), request_, RECORD) is expected
    assert pretrained.keeps_heads(VGG, request_, RECORD) is False


def test_plan_prints_a_line_a_variable_and_counts():
    made = pretrained.Plan((Row("a/w", "renamed", "b/w"), Row("a/b", "new")), ("A note.",))
    lines = pretrained.format_plan(made, frozen={"a/b"}).splitlines()
    assert lines[0].split() == ["renamed", "a/w", "b/w"]
    assert lines[1].split() == ["new", "frozen", "a/b"]
    assert lines[2] == "0 restored, 1 renamed, 0 reduced, 1 new, 1 frozen"
    assert lines[3] == "A note."


MANY = {
    f"{MODEL}/conv1/conv1_1/weights": (3, 3, 3, 4),
    f"{MODEL}/block4_box/conv_loc/weights": (3, 3, 4, 16),
    **{f"{MODEL}/layer{k}/{kind}": (k, 4) for k in range(1, 21) for kind in ("weights", "biases")},
}


def listed(names) -> str:
    """The first four in the network's order, and how many more."""
    ordered = [name for name in MANY if name in names]
    rest = f" and {len(ordered) - 4} more" if len(ordered) > 4 else ""
    return ", ".join(ordered[:4]) + rest


@pytest.mark.parametrize("k", [1, 4, 6])
def test_k_excluded_missing_and_misshapen_variables_are_told_exactly(k):
    """In a checkpoint of another scope, so that all the others are renamed."""
    names = np.random.default_rng(k).permutation(list(MANY)[2:]).tolist()
    excluded, missing, wrong = names[:k], names[k : 2 * k], names[2 * k : 3 * k]
    there = {name: shape for name, shape in MANY.items() if name not in missing}
    flags = {"checkpoint_exclude_scopes": tuple(excluded)}
    made = plan(scoped("old", there), MANY, **flags, ignore_missing_vars=True)
    new = {*excluded, *missing}
    assert {row.name for row in made.rows if row.action == "new"} == new
    assert {row.name for row in made.rows if row.action == "renamed"} == {*MANY} - new
    counts = f"0 restored, {len(MANY) - 2 * k} renamed, 0 reduced, {2 * k} new, 0 frozen"
    assert counts in pretrained.format_plan(made)
    with pytest.raises(InputError, match=f"The checkpoint lacks {listed(missing)}: pass"):
        plan(scoped("old", there), MANY, **flags)
    shapes = {**MANY, **dict.fromkeys(wrong, (9, 9))}
    with pytest.raises(InputError, match="have other shapes than the network's") as caught:
        plan(scoped("old", shapes), MANY, **flags)
    said = str(caught.value).replace(" (9, 9)", "")
    assert said.startswith(f"The checkpoint's {listed(wrong)} have other shapes")


AVERAGE = "/ExponentialMovingAverage"


def averaged_plan(there, variables=NETWORK, **request):
    request = Request("some.ckpt", **request)
    return pretrained.make_plan(variables, there, request, network=RECORD, average=AVERAGE)


@pytest.mark.parametrize(("scope", "action"), [(MODEL, "restored"), ("other", "renamed")])
def test_averages_are_taken_where_they_are_and_weights_elsewhere(scope, action):
    there = scoped(scope)
    raw, *rest = there
    made = averaged_plan({**there, **{f"{name}{AVERAGE}": there[name] for name in rest}})
    assert [row.source for row in made.rows] == [raw, *(f"{name}{AVERAGE}" for name in rest)]
    assert set(actions(made).values()) == {action}
    assert made.notes == (
        "4 values are moving averages, as evaluation takes them: --use_moving_average=False takes "
        "the raw weights.",
    )
    assert averaged_plan(there) == plan(there)


def test_averages_of_another_shape_are_refused():
    averages = {f"{name}{AVERAGE}": (7, *shape) for name, shape in NETWORK.items()}
    with pytest.raises(InputError, match=r"conv1_1/weights \(7, 3, 3, 3, 4\).* have other shapes"):
        averaged_plan({**NETWORK, **averages})


def test_excluded_variables_start_new_whatever_averages_there_are():
    averages = {f"{name}{AVERAGE}": shape for name, shape in NETWORK.items()}
    made = averaged_plan({**NETWORK, **averages}, checkpoint_exclude_scopes=(f"{MODEL}/conv10",))
    assert actions(made)["conv10/weights"] == "new"
    assert made.notes[0].startswith("4 values are moving averages")


def test_averages_of_fully_connected_layers_are_reduced():
    there = {**VGG, f"vgg_16/fc6/weights{AVERAGE}": VGG["vgg_16/fc6/weights"]}
    made = averaged_plan(there, VGG_LAYERS)
    assert Row(f"{MODEL}/conv6/weights", "reduced", f"vgg_16/fc6/weights{AVERAGE}") in made.rows
