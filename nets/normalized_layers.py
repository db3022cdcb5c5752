"""Convolutions with batch normalisation, under slim's names: `SCOPE/weights`, `SCOPE/BatchNorm/*`.

Batch norm has two forms. **Frozen**, it uses the moving statistics and is a factor on the weights
and a bias: it is folded into them, in training too, so that activations are passed over once and
every layout of clones and workers computes the same. gamma and beta get their gradients through the
folded weights. **Trained**, it uses the statistics of the global batch, of all replicas together,
and moves the statistics that evaluation folds. Source: Ioffe and Szegedy (2015).

Surprising: folding is done in float32 and cast afterwards, since the factor of a channel may be
large. With bfloat16 the gradients of a strided depthwise convolution are computed in float32:
there TensorFlow's CPU kernels for bfloat16 take eleven times as long. Zeros on each side are an
operation of their own: as padding of a convolution they make its gradients up to eight times slower
with bfloat16.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tf_slim as slim

from nets import custom_layers, variables

Activation = Callable[[tf.Tensor], tf.Tensor]


class BatchNorm(NamedTuple):
    """How the layers of a network are normalised.

    Attributes:
      epsilon: added to variances.
      momentum: share of a moving statistic that stays in a step.
      training: whether the batch's statistics are used; they are the moving ones otherwise.
    """

    epsilon: float = 1e-3
    momentum: float = 0.997
    training: bool = False


@slim.add_arg_scope
def conv2d(
    inputs: tf.Tensor,
    depth: int,
    kernel: int,
    *,
    scope: str,
    norm: BatchNorm,
    initializer: variables.Initializer,
    stride: int = 1,
    padding: str | int = "SAME",
    activation: Activation = tf.nn.relu6,
) -> tf.Tensor:
    """Convolution, batch norm and activation.

    Args:
      inputs: f[B, H, W, D].
      depth: E.
      kernel: side of the kernel.
      scope: of the variables, weights [kernel, kernel, D, E] and BatchNorm's four [E].
      norm: of the sums.
      initializer: of the weights.
      stride: of the kernel.
      padding: as of `tf.nn.conv2d`, or pixels of zeros on each side.
      activation: of the normalised sums.

    Returns:
      f[B, H', W', E].
    """

    def convolve(weights: tf.Tensor) -> tf.Tensor:
        if isinstance(padding, str):
            return tf.nn.conv2d(inputs, weights, stride, padding)
        return tf.nn.conv2d(custom_layers.pad2d(inputs, padding), weights, stride, "VALID")

    with variables.layer_scope(scope):
        shape = [kernel, kernel, inputs.shape[-1], depth]
        weights = slim.model_variable("weights", shape=shape, initializer=initializer)
        return activation(_normalize(convolve, weights, depth, norm, inputs.dtype))


@slim.add_arg_scope
def depthwise_conv2d(
    inputs: tf.Tensor,
    *,
    scope: str,
    norm: BatchNorm,
    initializer: variables.Initializer,
    stride: int = 1,
    activation: Activation = tf.nn.relu6,
) -> tf.Tensor:
    """A 3x3 convolution of each channel by itself, batch norm and activation.

    Args:
      inputs: f[B, H, W, D].
      scope: of the variables, depthwise_weights [3, 3, D, 1] and BatchNorm's four [D].
      norm: of the sums.
      initializer: of the weights.
      stride: of the kernel, with SAME padding.
      activation: of the normalised sums.

    Returns:
      f[B, H', W', D].
    """
    depth = inputs.shape[-1]

    def initialize(shape, dtype=tf.float32, *, seed):
        # A channel's sum has nine terms: the fan-in is that of [3, 3, 1, D].
        return tf.transpose(initializer([3, 3, 1, shape[2]], dtype, seed=seed), [0, 1, 3, 2])

    def convolve(weights: tf.Tensor) -> tf.Tensor:
        if inputs.dtype == tf.bfloat16 and stride > 1:
            return _strided_depthwise(inputs, weights, stride)
        return tf.nn.depthwise_conv2d(inputs, weights, [1, stride, stride, 1], "SAME")

    with variables.layer_scope(scope):
        weights = slim.model_variable(
            "depthwise_weights", shape=[3, 3, depth, 1], initializer=initialize
        )
        return activation(_normalize(convolve, weights, depth, norm, inputs.dtype))


def _normalize(
    convolve: Callable[[tf.Tensor], tf.Tensor],
    weights: tf.Tensor,
    depth: int,
    norm: BatchNorm,
    dtype: tf.DType,
) -> tf.Tensor:
    """The convolution with f32 weights [..., D, E] or [..., D, 1], its sums normalised."""
    with variables.layer_scope("BatchNorm"):
        gamma, beta = _variable("gamma", depth, 1.0), _variable("beta", depth, 0.0)
        mean = _variable("moving_mean", depth, 0.0, trainable=False)
        variance = _variable("moving_variance", depth, 1.0, trainable=False)
        if norm.training:
            sums = convolve(tf.cast(weights, dtype))
            return _with_batch_statistics(sums, gamma, beta, mean, variance, norm)
    # Outside of BatchNorm's scope, so that the operation has the layer's name.
    factor = gamma * tf.math.rsqrt(variance + norm.epsilon)
    factors = factor if weights.shape[-1] == depth else factor[:, None]
    sums = convolve(tf.cast(weights * factors, dtype))
    return tf.nn.bias_add(sums, tf.cast(beta - mean * factor, dtype), name="BiasAdd")


def _variable(name: str, depth: int, value: float, *, trainable: bool = True) -> tf.Tensor:
    initializer = variables.constant(value)
    return slim.model_variable(name, shape=[depth], initializer=initializer, trainable=trainable)


def _with_batch_statistics(
    sums: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    norm: BatchNorm,
) -> tf.Tensor:
    """Normalised by the global batch's mean and variance, which move the state."""
    replicas = tf.distribute.get_replica_context()
    if replicas is None or replicas.num_replicas_in_sync == 1:
        normalized, batch_mean, batch_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=sums, scale=gamma, offset=beta, mean=[], variance=[], epsilon=norm.epsilon
        )
    else:
        count = tf.cast(tf.reduce_prod(tf.shape(sums)[:3]), tf.float32)
        count *= replicas.num_replicas_in_sync
        values = tf.cast(sums, tf.float32)
        # Two rounds, since the sum of squares minus that of means loses what is small beside them.
        batch_mean = _all_sum(replicas, tf.reduce_sum(values, [0, 1, 2])) / count
        centred = values - batch_mean
        spread = _all_sum(replicas, tf.reduce_sum(tf.square(centred), [0, 1, 2]))
        biased = spread / count
        factor = gamma * tf.math.rsqrt(biased + norm.epsilon)
        normalized = tf.cast(centred * factor + beta, sums.dtype)
        batch_variance = spread / tf.maximum(count - 1, 1)  # as the fused operation gives it
    for name, old, new in (
        ("moving_mean", mean, batch_mean),
        ("moving_variance", variance, batch_variance),
    ):
        value = old * norm.momentum + tf.stop_gradient(new) * (1 - norm.momentum)
        variables.update_state(name, value)
    return normalized


def _all_sum(replicas: tf.distribute.ReplicaContext, value: tf.Tensor) -> tf.Tensor:
    return replicas.all_reduce(tf.distribute.ReduceOp.SUM, value)


def _strided_depthwise(inputs: tf.Tensor, weights: tf.Tensor, stride: int) -> tf.Tensor:
    """bf16 depthwise convolution whose gradients are computed in float32."""
    strides = [1, stride, stride, 1]

    @tf.custom_gradient
    def convolve(inputs, weights):
        def gradient(upstream):
            x, w, dy = (tf.cast(value, tf.float32) for value in (inputs, weights, upstream))
            dx = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), w, dy, strides, "SAME")
            dw = tf.nn.depthwise_conv2d_backprop_filter(x, w.shape, dy, strides, "SAME")
            return tf.cast(dx, inputs.dtype), tf.cast(dw, weights.dtype)

        return tf.nn.depthwise_conv2d(inputs, weights, strides, "SAME"), gradient

    return convolve(inputs, weights)
