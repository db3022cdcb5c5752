"""An anchor for every object, none used twice: the greedy rule, without its N steps.

The greedy rule (take the largest overlap left, strike out its object and anchor, repeat) gives the
one stable matching of objects and anchors that both prefer larger overlaps. So it is found by
deferred acceptance: every object asks for its best anchor, a contested anchor keeps the best asker,
the others ask on. Equal overlaps: the lower object, then the lower anchor, comes first.

Objects that ask all anchors they overlap in vain get the anchors that are left, in their order. As
an object mostly gets one of its first choices, only a few are listed for each; who has asked all of
its list gets a new one, of the anchors that would still take it.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from nets import boxes as box_ops

_LISTED = 64  # anchors, of the hundreds that an object overlaps
_CELLS = 8  # along each side of the image
_LARGE = 0.25  # side of an object, of the image's


class Lists(NamedTuple):
    """What N objects ask for, best first; every list ends with the anchor A, which does not exist.

    Attributes:
      strengths: f32[N, K + 1] overlaps; 0 behind the end of a list.
      choices: i32[N, K + 1] anchors; A behind the end of a list.
    """

    strengths: tf.Tensor
    choices: tf.Tensor


class Held(NamedTuple):
    """The best for each of A anchors.

    Attributes:
      strengths: f32[A] overlaps; 0 where there is none.
      objects: i32[A]; -1 where there is none.
    """

    strengths: tf.Tensor
    objects: tf.Tensor


def of_overlaps(overlaps: tf.Tensor) -> tf.Tensor:
    """Anchors of objects whose overlaps with all are known: f32[N, A] -> i32[N].

    -1 once no anchor is left.
    """
    num_objects, num_anchors = tf.unstack(tf.shape(overlaps))
    # Only N - 1 anchors can be kept from an object by others.
    strengths, choices = tf.math.top_k(overlaps, k=tf.minimum(num_objects, num_anchors))
    lists = _ended(strengths, choices, num_anchors)
    place, _ = _ask(lists, tf.zeros([num_objects], tf.int32), num_anchors)
    return _with_rest(_at(lists.choices, place), num_anchors)


def of_many(boxes: tf.Tensor, anchors: tf.Tensor) -> tuple[tf.Tensor, Held]:
    """The same without a table of all pairs, which thousands of objects make too large.

    Args:
      boxes: f32[N, 4].
      anchors: f32[A, 4].

    Returns:
      i32[N] as `of_overlaps`, and for each anchor the object that overlaps it most, N not being 0.
    """
    num_objects, num_anchors = tf.shape(boxes)[0], tf.shape(anchors)[0]
    nobody = Held(tf.zeros([num_anchors]), tf.fill([num_anchors], -1))
    nothing = tf.zeros([num_objects, _LISTED])
    lists = _ended(nothing, tf.zeros_like(nothing, tf.int32), num_anchors)
    everyone = tf.range(num_objects)

    def serve(lists, place, held, best, rows):
        lists, best = _list(lists, boxes, anchors, rows, held, best)
        place = tf.tensor_scatter_nd_update(place, rows[:, None], tf.zeros_like(rows))
        place, held = _ask(lists, place, num_anchors)
        left = (place == _LISTED) & (lists.strengths[:, -2] > 0)  # all of a full list
        return lists, place, held, best, tf.cast(tf.where(left)[:, 0], tf.int32)

    # Of equal overlaps, such as none, the first object's counts.
    start = (lists, tf.zeros_like(everyone), nobody, Held(*map(tf.zeros_like, nobody)), everyone)
    lists, place, _, best, _ = _loop(lambda *state: tf.size(state[-1]) > 0, serve, start)
    return _with_rest(_at(lists.choices, place), num_anchors), best


def _list(
    lists: Lists, boxes: tf.Tensor, anchors: tf.Tensor, rows: tf.Tensor, held: Held, best: Held
) -> tuple[Lists, Held]:
    """New lists for the objects of `rows`, and the best for each anchor with them.

    Objects near each other are looked at together, with the anchors that are near all of them.
    """
    theirs = tf.gather(boxes, rows)
    place = tf.cast(_CELLS * (theirs[:, :2] + theirs[:, 2:]) / 2, tf.int32)
    place = tf.clip_by_value(place, 0, _CELLS - 1)
    large = tf.reduce_max(theirs[:, 2:] - theirs[:, :2], axis=1) > _LARGE
    cells = tf.where(large, _CELLS * _CELLS, place[:, 0] * _CELLS + place[:, 1])
    occupied = tf.unique(cells).y

    def list_cell(number, lists, best):
        inside = tf.gather(rows, tf.where(cells == occupied[number])[:, 0])
        return number + 1, *_list_cell(lists, boxes, anchors, inside, held, best)

    _, lists, best = _loop(
        lambda number, *_: number < tf.size(occupied), list_cell, (tf.constant(0), lists, best)
    )
    return lists, best


def _list_cell(
    lists: Lists, boxes: tf.Tensor, anchors: tf.Tensor, rows: tf.Tensor, held: Held, best: Held
) -> tuple[Lists, Held]:
    theirs = tf.gather(boxes, rows)
    low, high = tf.reduce_min(theirs[:, :2], axis=0), tf.reduce_max(theirs[:, 2:], axis=0)
    near = tf.where(tf.reduce_all((anchors[:, :2] < high) & (anchors[:, 2:] > low), axis=1))
    overlaps = box_ops.iou(theirs, tf.gather(anchors, near[:, 0]))
    best = _improved(best, near, overlaps, rows)
    taken, by = (tf.gather(part, near[:, 0]) for part in held)
    # Whether an anchor would take the object, instead of the one that it has.
    is_open = (overlaps > taken) | ((overlaps == taken) & (rows[:, None] < by))
    missing = tf.maximum(0, _LISTED - tf.size(near[:, 0], tf.int32))
    asked = tf.pad(tf.where(is_open, overlaps, 0.0), [[0, 0], [0, missing]])
    strengths, found = tf.math.top_k(asked, k=_LISTED)
    found = tf.gather(tf.pad(tf.cast(near[:, 0], tf.int32), [[0, missing]]), found)
    made = _ended(strengths, found, tf.shape(anchors)[0])
    lists = Lists(
        tf.tensor_scatter_nd_update(lists.strengths, rows[:, None], made.strengths),
        tf.tensor_scatter_nd_update(lists.choices, rows[:, None], made.choices),
    )
    return lists, best


def _ended(strengths: tf.Tensor, choices: tf.Tensor, num_anchors: tf.Tensor) -> Lists:
    """Lists f32[N, K], i32[N, K] with their ends."""
    strengths, choices = (tf.pad(part, [[0, 0], [0, 1]]) for part in (strengths, choices))
    return Lists(strengths, tf.where(strengths > 0, choices, num_anchors))


def _improved(best: Held, near: tf.Tensor, overlaps: tf.Tensor, rows: tf.Tensor) -> Held:
    """The best for each anchor, when more objects are looked at."""
    found = tf.reduce_max(overlaps, axis=0)
    objects = tf.gather(rows, tf.argmax(overlaps, axis=0))
    before, by = (tf.gather(part, near[:, 0]) for part in best)
    better = (found > before) | ((found == before) & (objects < by))
    return Held(
        tf.tensor_scatter_nd_update(best.strengths, near, tf.where(better, found, before)),
        tf.tensor_scatter_nd_update(best.objects, near, tf.where(better, objects, by)),
    )


def _ask(lists: Lists, place: tf.Tensor, num_anchors: tf.Tensor) -> tuple[tf.Tensor, Held]:
    """Lets objects ask, from their place i32[N] in their lists on; who keeps what in the end."""
    rows = tf.range(tf.size(place))

    def keep(place: tf.Tensor) -> tuple[tf.Tensor, Held]:
        """What is asked for, and whom the anchors, and A, would keep."""
        choice, strength = _at(lists.choices, place), _at(lists.strengths, place)
        best = tf.math.unsorted_segment_max(strength, choice, num_anchors + 1)
        equal = tf.where(tf.gather(best, choice) == strength, rows, tf.size(rows))
        return choice, Held(best, tf.math.unsorted_segment_min(equal, choice, num_anchors + 1))

    def turned_away(place: tf.Tensor) -> tf.Tensor:
        choice, kept = keep(place)
        lost = (tf.gather(kept.objects, choice) != rows) & (choice < num_anchors)
        return tf.ensure_shape(lost, [None])  # its rank, which the loop must know

    def ask(place: tf.Tensor, lost: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place = place + tf.cast(lost, tf.int32)
        return place, turned_away(place)

    place, _ = _loop(lambda place, lost: tf.reduce_any(lost), ask, (place, turned_away(place)))
    strengths, objects = keep(place)[1]
    is_kept = objects[:-1] < tf.size(rows)
    return place, Held(tf.where(is_kept, strengths[:-1], 0.0), tf.where(is_kept, objects[:-1], -1))


def _loop(condition: Callable, body: Callable, state: tuple) -> tuple:
    """A while loop that keeps no static shape: with one of N they would have to stay known."""
    loose = tf.nest.map_structure(lambda t: tf.TensorShape([None] * t.shape.rank), state)
    return tf.while_loop(condition, body, state, shape_invariants=loose)


def _at(table: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """[N, K + 1], i32[N] -> [N]."""
    starts = tf.range(tf.size(place)) * tf.shape(table)[1]
    return tf.gather(tf.reshape(table, [-1]), starts + place)


def _with_rest(anchors: tf.Tensor, num_anchors: tf.Tensor) -> tf.Tensor:
    """Gives objects with anchor A in i32[N] one that nobody has, the first to the first, or -1."""
    used = tf.math.unsorted_segment_max(tf.ones_like(anchors), anchors, num_anchors + 1)
    rest = tf.cast(tf.where(used[:-1] < 1)[:, 0], tf.int32)
    needy = tf.where(anchors == num_anchors)
    missing = tf.maximum(0, tf.shape(needy)[0] - tf.size(rest))
    rest = tf.pad(rest, [[0, missing]], constant_values=-1)[: tf.shape(needy)[0]]
    return tf.tensor_scatter_nd_update(anchors, needy, rest)
