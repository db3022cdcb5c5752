"""The owner of slim's variables: one small `tf.Module` that slim's layers ask for them by name.

slim creates variables through `get_variable`. Inside `SlimVariables.scope` a custom getter answers
these calls from a dictionary, so that the same network function runs eagerly, in `tf.function`,
under any strategy and in a SavedModel, and a variable's name is exactly slim's:
`ssd_300_vgg/conv4/conv4_3/weights`. This is the only module that touches `tf.compat.v1`.

Surprising: reduced precision happens here. Variables are float32; the getter hands out casts, and
gradients arrive in float32 at the variable. Initial values depend on (seed, name) alone, so adding
a layer does not change the others.
"""

import contextlib
import warnings
import zlib
from collections.abc import Callable, Iterator

import tensorflow as tf

Initializer = Callable[..., tf.Tensor]


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


INITIALIZERS: dict[str, Initializer] = {"he": he_normal, "xavier": xavier_uniform}


class SlimVariables(tf.Module):
    """float32 variables by slim name.

    Attributes:
      by_name: the variables made so far, in the order of creation.
    """

    def __init__(self, *, seed: int, name: str = "slim_variables"):
        super().__init__(name=name)
        self.by_name: dict[str, tf.Variable] = {}
        self._seed = seed

    @contextlib.contextmanager
    def scope(
        self, name: str, *, dtype: tf.DType = tf.float32, frozen: bool = False
    ) -> Iterator[None]:
        """slim layers inside find their variables here, below `name`, cast to `dtype`.

        `frozen` hands out their present values as constants: a traced function then keeps these,
        and TensorFlow casts and reorders them once instead of in every call.
        """
        getter = _Getter(self, dtype, frozen)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*`layer\\.(apply|updates)`.*")
            with tf.compat.v1.variable_scope(name, custom_getter=getter):
                yield

    def get(self, name: str, shape: tuple[int, ...], initializer: Initializer) -> tf.Variable:
        """The variable `name`, made on first sight.

        Raises:
          ValueError: the variable exists with another shape.
        """
        if name not in self.by_name:
            seed = (self._seed & 0x7FFFFFFF, zlib.crc32(name.encode()) & 0x7FFFFFFF)
            with tf.init_scope():
                value = initializer(shape, tf.float32, seed=seed)
                self.by_name[name] = tf.Variable(value, name=name, dtype=tf.float32)
        variable = self.by_name[name]
        if tuple(variable.shape) != tuple(shape):
            raise ValueError(
                f"{name} has shape {tuple(variable.shape)}, the layer asks for {shape}"
            )
        return variable


class _Getter:
    def __init__(self, owner: SlimVariables, dtype: tf.DType, frozen: bool):
        self._owner, self._dtype, self._frozen = owner, dtype, frozen

    def __call__(self, getter, name, shape=None, initializer=None, **kwargs):
        del getter, kwargs
        variable = self._owner.get(name, tuple(shape), initializer)
        if not self._frozen:
            return tf.cast(variable, self._dtype)
        with tf.init_scope():
            value = tf.cast(variable, self._dtype).numpy()
        return tf.constant(value)


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
