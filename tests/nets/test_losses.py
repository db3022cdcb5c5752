"""The multibox loss against a NumPy reading of RECIPE, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from nets import losses
from nets.losses import Multibox, Predictions
from nets.matching import Targets


def f32(values) -> tf.Tensor:
    return tf.constant(values, tf.float32)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def plain_entropy(logits: np.ndarray, wanted: int, smoothing: float) -> float:
    target = np.full(len(logits), smoothing / len(logits))
    target[wanted] += 1 - smoothing
    return float(-(target * log_softmax(logits)).sum())


def plain_loss(logits, offsets, classes, wanted, *, ratio=3.0, smoothing=0.0):
    """Image by image, anchor by anchor: (classification, localisation, chosen anchors)."""
    classification = localisation = 0.0
    chosen = np.zeros(classes.shape, bool)
    for picture in range(len(logits)):
        entropy = [
            plain_entropy(*each, smoothing)
            for each in zip(logits[picture], classes[picture], strict=True)
        ]
        positive = [a for a, label in enumerate(classes[picture]) if label > 0]
        background = [a for a, label in enumerate(classes[picture]) if label == 0]
        hardest = sorted(background, key=lambda a: (-np.float32(entropy[a]), a))
        chosen[picture, positive + hardest[: int(ratio * len(positive))]] = True
        classification += sum(entropy[a] for a in range(len(entropy)) if chosen[picture, a])
        for anchor in positive:
            for error in np.abs(offsets[picture, anchor] - wanted[picture, anchor]):
                localisation += error**2 / 2 if error < 1 else error - 0.5
    return classification, localisation, chosen


def example(seed: int, positives: list[int], *, anchors: int = 40, num_classes: int = 5):
    """Random predictions of a batch whose images have so many positives."""
    generator = np.random.default_rng(seed)
    batch = len(positives)
    classes = np.zeros((batch, anchors), np.int32)
    for picture, count in enumerate(positives):
        places = generator.permutation(anchors)[:count]
        classes[picture, places] = generator.integers(1, num_classes, count)
    logits = generator.normal(0, 2, (batch, anchors, num_classes)).astype(np.float32)
    offsets, wanted = generator.normal(0, 1.5, (2, batch, anchors, 4)).astype(np.float32)
    return logits, offsets, classes, wanted * (classes > 0)[..., None]


def run(logits, offsets, classes, wanted, **options) -> tuple[float, float]:
    targets = Targets(tf.constant(classes), f32(wanted))
    sums = Multibox(**options)(Predictions(f32(logits), f32(offsets)), targets)
    return float(sums["classification"]), float(sums["localisation"])


PICTURES = {
    "no object": [0],
    "one positive": [1],
    "some positives": [4],
    "more negatives wanted than there are": [15],
    "no background": [40],
    "a batch of all kinds": [0, 1, 7, 30, 40],
    "all background": [0, 0, 0],
}


@pytest.mark.parametrize("positives", PICTURES.values(), ids=PICTURES.keys())
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_multibox_equals_a_plain_reading_of_the_recipe(positives, smoothing):
    batch = example(11, positives)
    expected = plain_loss(*batch, smoothing=smoothing)[:2]
    np.testing.assert_allclose(run(*batch, label_smoothing=smoothing), expected, rtol=2e-5)


@pytest.mark.parametrize("ratio", [0.0, 1.0, 2.5, 100.0])
def test_negative_ratio_is_obeyed(ratio):
    batch = example(5, [1, 3, 0])
    expected = plain_loss(*batch, ratio=ratio)[:2]
    np.testing.assert_allclose(run(*batch, negative_ratio=ratio), expected, rtol=2e-5)


def test_picture_without_positives_costs_nothing():
    assert run(*example(2, [0, 0])) == (0.0, 0.0)


def test_one_positive_and_three_negatives_are_as_worked_out_by_hand():
    logits = np.log([[[1, 3], [1, 1], [7, 1], [1, 9], [3, 1], [4, 1]]])
    classes = np.array([[1, 0, 0, 0, 0, 0]])
    # Probabilities: 3/4; background 1/2, 7/8, 1/10, 3/4, 4/5, of which the three lowest count.
    expected = np.log(4 / 3) + np.log(2) + np.log(10) + np.log(4 / 3)
    offsets = np.zeros((1, 6, 4))
    offsets[0, 0] = [0.5, -0.5, 3.0, 0.0]  # 0.125 + 0.125 + 2.5
    offsets[0, 1] = 99.0  # background: no matter
    found = run(logits, offsets, classes, np.zeros((1, 6, 4)))
    np.testing.assert_allclose(found, [expected, 2.75], rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_batch_costs_the_sum_of_its_pictures_alone(seed):
    positives = [0, 2, 9, 1]
    batch = example(seed, positives)
    alone = [run(*(values[k : k + 1] for values in batch)) for k in range(len(positives))]
    np.testing.assert_allclose(run(*batch), np.sum(alone, axis=0), rtol=1e-5)


def test_hard_picture_takes_no_negatives_from_an_easy_one():
    entropy, positive = np.full((2, 12), 0.1, np.float32), np.zeros((2, 12), bool)
    entropy[0], positive[:, 0] = 9.0, True
    made = losses.hard_negatives(f32(entropy), tf.constant(positive), negative_ratio=3.0)
    assert made.numpy().sum(axis=1).tolist() == [3, 3]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9, 10, 11, 19, 20])
def test_exactly_three_negatives_a_positive_where_there_are_so_many(count):
    generator = np.random.default_rng(count)
    positive = np.zeros((1, 20), bool)
    positive[0, generator.permutation(20)[:count]] = True
    entropy = generator.exponential(size=(1, 20))
    made = losses.hard_negatives(f32(entropy), tf.constant(positive), negative_ratio=3.0).numpy()
    assert made.sum() == min(3 * count, 20 - count)
    assert not (made & positive).any()
    rest = entropy[~made & ~positive]
    assert not made.any() or not rest.size or entropy[made].min() >= rest.max()


@pytest.mark.parametrize("value", [0.0, 1e-7, 0.6931472, 50.0])
def test_ties_still_give_exactly_the_number_asked_for(value):
    positive = tf.constant([[False, True, False, False, True, False, False, False, False, False]])
    made = losses.hard_negatives(tf.fill([1, 10], value), positive, negative_ratio=3.0)
    # Equal losses: the lower anchor first.
    expected = [True, False, True, True, False, True, True, True, False, False]
    assert made.numpy().tolist() == [expected]


def test_untrained_network_whose_scores_all_tie_learns_from_negatives():
    _, offsets, classes, wanted = example(3, [2, 1])
    found, _ = run(np.zeros((2, 40, 5)), offsets, classes, wanted)
    np.testing.assert_allclose(found, (8 + 4) * np.log(5), rtol=1e-5)


def test_positives_with_huge_losses_are_never_mined():
    entropy, positive = np.array([[1e6, 0.1, 0.2, 0.3, 1e6]]), [[True, False, False, False, True]]
    made = losses.hard_negatives(f32(entropy), tf.constant(positive), negative_ratio=0.5)
    assert made.numpy().tolist() == [[False, False, False, True, False]]


@pytest.mark.parametrize(("positives", "expected"), [(0, 5), (1, 5), (2, 6), (17, 3)])
def test_picture_has_its_least_number_of_negatives_where_there_are_so_many(positives, expected):
    positive = np.arange(20)[None] < positives
    entropy = f32(np.arange(20.0)[None])
    made = losses.hard_negatives(
        entropy, tf.constant(positive), negative_ratio=3.0, min_negatives=5
    ).numpy()
    assert made[0].nonzero()[0].tolist() == list(range(20 - expected, 20))


@pytest.mark.parametrize(
    ("mining_progress", "expected"), [(0.0, [18, 20]), (0.25, [15, 15]), (1.0, [6, 0])]
)
def test_mining_sets_in_between_all_negatives_and_the_hard_ones(mining_progress, expected):
    positive = np.zeros((2, 20), bool)
    positive[0, :2] = True
    entropy = f32(np.tile(np.arange(20.0), (2, 1)))
    made = losses.hard_negatives(
        entropy,
        tf.constant(positive),
        negative_ratio=3.0,
        mining_progress=tf.constant(mining_progress),
    ).numpy()
    assert made.sum(axis=1).tolist() == expected
    assert all(row[20 - count :].all() for row, count in zip(made, expected, strict=True))


def test_half_an_anchor_that_mining_would_drop_stays():
    # 5 of the 6 anchors are background and mining keeps 2: half of the 3 others is 1 that goes.
    made = losses.hard_negatives(
        f32([[9.0, 1.0, 2.0, 3.0, 4.0, 5.0]]),
        tf.constant([[True, False, False, False, False, False]]),
        negative_ratio=2.0,
        mining_progress=tf.constant(0.5),
    )
    assert made.numpy().tolist() == [[False, False, True, True, True, True]]


def test_gradient_is_that_of_the_chosen_anchors_alone():
    logits, offsets, classes, wanted = example(8, [2, 0, 6])
    chosen = plain_loss(logits, offsets, classes, wanted)[2]
    with tf.GradientTape() as tape:
        inputs = f32(logits)
        tape.watch(inputs)
        targets = Targets(tf.constant(classes), f32(wanted))
        cost = Multibox()(Predictions(inputs, f32(offsets)), targets)["classification"]
    expected = (np.exp(log_softmax(logits)) - np.eye(5)[classes]) * chosen[..., None]
    np.testing.assert_allclose(tape.gradient(cost, inputs), expected, atol=1e-5)


def test_localisation_gradient_is_clipped_at_one_and_zero_on_background():
    offsets, classes = np.zeros((1, 2, 4)), np.array([[1, 0]])
    offsets[0] = [[0.25, -0.5, 4.0, -7.0], [5.0, 5.0, 5.0, 5.0]]
    with tf.GradientTape() as tape:
        inputs = f32(offsets)
        tape.watch(inputs)
        targets = Targets(tf.constant(classes), tf.zeros([1, 2, 4]))
        cost = Multibox()(Predictions(tf.zeros([1, 2, 3]), inputs), targets)["localisation"]
    expected = [[[0.25, -0.5, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0]]]
    np.testing.assert_allclose(tape.gradient(cost, inputs), expected)


def test_smooth_l1_is_as_worked_out_by_hand():
    values = [-3.0, -1.0, -0.5, 0.0, 0.2, 0.999, 1.0, 2.0]
    expected = [2.5, 0.5, 0.125, 0.0, 0.02, 0.4990005, 0.5, 1.5]
    np.testing.assert_allclose(losses.smooth_l1(f32(values)), expected, rtol=1e-5)


def test_cross_entropy_without_smoothing_is_minus_log_probability():
    logits = f32(np.log([[1, 2, 5], [6, 1, 1]]))
    found = losses.cross_entropy(logits, tf.constant([2, 1]))
    np.testing.assert_allclose(found, [-np.log(5 / 8), -np.log(1 / 8)], rtol=1e-5)


def test_label_smoothing_spreads_its_share_over_all_classes():
    logits = f32(np.log([[1, 2, 5]]))
    found = losses.cross_entropy(logits, tf.constant([2]), label_smoothing=0.3)
    # The target is (0.1, 0.1, 0.8).
    expected = -0.1 * np.log(1 / 8) - 0.1 * np.log(2 / 8) - 0.8 * np.log(5 / 8)
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_loss_is_the_same_compiled():
    batch = example(4, [3, 0, 12])
    logits, offsets, classes, wanted = map(tf.constant, batch)
    compiled = tf.function(lambda a, b, c, d: Multibox()(Predictions(a, b), Targets(c, d)))
    found = compiled(logits, offsets, classes, tf.cast(wanted, tf.float32))
    np.testing.assert_allclose([float(part) for part in found.values()], run(*batch), rtol=1e-5)


def test_l2_is_half_the_sum_of_squares():
    assert float(losses.l2([f32([[1.0, 2.0]]), f32([3.0])])) == 7.0


def test_l2_of_no_weights_is_0():
    # Where only biases are trained.
    assert float(losses.l2([])) == 0.0
