"""The owner of slim's variables: one small `tf.Module` that slim's layers ask for them by name.

slim creates variables through `get_variable`. Inside `SlimVariables.scope` a custom getter answers
these calls from a dictionary, so that the same network function runs eagerly, in `tf.function`,
under any strategy and in a SavedModel, and a variable's name is exactly slim's:
`ssd_300_vgg/conv4/conv4_3/weights`. This is the only module that touches `tf.compat.v1`.

A variable that a layer asks for with `trainable=False` is state: saved and restored like a weight,
never trained or decayed. A layer that is trained says its next value by `update_state`.

Surprising: reduced precision happens here. Variables are float32; the getter hands out casts to the
type that a layer asks for (slim's layers that of their input), and gradients arrive in float32 at
the variable. Initial values depend on (seed, name) alone, so adding
a layer does not change the others.
"""

import contextlib
import contextvars
import warnings
import zlib
from collections.abc import Callable, Iterator

import tensorflow as tf

Initializer = Callable[..., tf.Tensor]
WeightHook = Callable[[str, tf.Tensor], tf.Tensor]  # (name, f32 weights) -> those of the layer


def he_normal(shape, dtype=tf.float32, *, seed: tuple[int, int]) -> tf.Tensor:
    """Normal with variance 2 / fan_in (He et al. 2015): keeps ReLU layers at unit variance."""
    return tf.random.stateless_normal(
        shape, seed, stddev=(2.0 / _fan_in(shape)) ** 0.5, dtype=dtype
    )


def xavier_uniform(shape, dtype=tf.float32, *, seed: tuple[int, int]) -> tf.Tensor:
    """Uniform within +-sqrt(3 / fan_in): Xavier as Caffe has it, without fan_out."""
    limit = (3.0 / _fan_in(shape)) ** 0.5
    return tf.random.stateless_uniform(shape, seed, -limit, limit, dtype=dtype)


def constant(value: float) -> Initializer:
    """An initializer that ignores the seed and fills with `value`."""

    def initialize(shape, dtype=tf.float32, *, seed: tuple[int, int]) -> tf.Tensor:
        del seed
        return tf.fill(shape, tf.constant(value, dtype))

    return initialize


_NONE = tf.VariableAggregation.NONE
INITIALIZERS: dict[str, Initializer] = {"he": he_normal, "xavier": xavier_uniform}


class SlimVariables(tf.Module):
    """float32 variables by slim name.

    Attributes:
      by_name: the variables made so far, weights and state, in the order of creation.
    """

    def __init__(self, *, seed: int, name: str = "slim_variables"):
        super().__init__(name=name)
        self.by_name: dict[str, tf.Variable] = {}
        self._seed = seed

    @property
    def state_by_name(self) -> dict[str, tf.Variable]:
        """Those that are not trained, such as moving statistics."""
        return {name: each for name, each in self.by_name.items() if not each.trainable}

    @contextlib.contextmanager
    def scope(
        self, name: str, *, frozen: bool = False, weight_hook: WeightHook | None = None
    ) -> Iterator[dict[str, tf.Tensor]]:
        """slim layers inside find their variables here, below `name` ("" for no scope).

        `frozen` hands out their present values as constants: a traced function then keeps these,
        and TensorFlow casts and reorders them once instead of in every call.

        `weight_hook` makes the layers' weights from the variables', as fake quantisation does:
        gradients go through it, and the cast comes after it.

        Yields:
          What layers say by `update_state`: f32 values of state variables, by name.
        """
        getter, updates = _Getter(self, frozen, weight_hook), {}
        token = _UPDATES.set(updates)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*`layer\\.(apply|updates)`.*")
                with tf.compat.v1.variable_scope(name, custom_getter=getter):
                    yield updates
        finally:
            _UPDATES.reset(token)

    def get(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        *,
        trainable: bool = True,
    ) -> tf.Variable:
        """The variable `name`, made on first sight; state where it is not `trainable`.

        What replicas assign to state is averaged.

        Raises:
          ValueError: the variable exists with another shape.
        """
        if name not in self.by_name:
            seed = (self._seed & 0x7FFFFFFF, zlib.crc32(name.encode()) & 0x7FFFFFFF)
            with tf.init_scope():
                value = initializer(shape, tf.float32, seed=seed)
                self.by_name[name] = tf.Variable(
                    value, name=name, dtype=tf.float32, trainable=trainable,
                    aggregation=(_NONE if trainable else tf.VariableAggregation.MEAN),
                )  # fmt: skip
        variable = self.by_name[name]
        if tuple(variable.shape) != tuple(shape):
            raise ValueError(
                f"{name} has shape {tuple(variable.shape)}, the layer asks for {shape}"
            )
        return variable


class _Getter:
    def __init__(self, owner: SlimVariables, frozen: bool, weight_hook: WeightHook | None):
        self._owner, self._frozen, self._weight_hook = owner, frozen, weight_hook

    def __call__(
        self, getter, name, shape=None, dtype=None, initializer=None, trainable=None, **kwargs
    ):
        del getter, kwargs
        is_state = trainable is False  # None where slim leaves it open
        variable = self._owner.get(name, tuple(shape), initializer, trainable=not is_state)
        dtype = tf.as_dtype(dtype or tf.float32)
        if is_state or self._weight_hook is None:
            return self._read(variable, dtype)
        return tf.cast(self._weight_hook(name, self._read(variable, tf.float32)), dtype)

    def _read(self, variable: tf.Variable, dtype: tf.DType) -> tf.Tensor:
        if not self._frozen:
            return tf.cast(variable, dtype)
        with tf.init_scope():
            value = tf.cast(variable, dtype).numpy()
        return tf.constant(value)


_UPDATES: contextvars.ContextVar[dict[str, tf.Tensor]] = contextvars.ContextVar("updates")


def update_state(name: str, value: tf.Tensor) -> None:
    """Says what the state variable `name` of the layer's scope becomes after this step."""
    _UPDATES.get()[f"{tf.compat.v1.get_variable_scope().name}/{name}".lstrip("/")] = value


@contextlib.contextmanager
def layer_scope(name: str) -> Iterator[None]:
    """Adds `name/` to the names of the variables made inside."""
    with tf.compat.v1.variable_scope(name):
        yield


def in_scope(name: str, scope: str) -> bool:
    """Whether the variable `name` lies below `scope`, by whole path components."""
    return f"{name}/".startswith(f"{scope.strip('/')}/")


def _fan_in(shape) -> int:
    return max(1, int(tf.TensorShape(shape[:-1]).num_elements()))
