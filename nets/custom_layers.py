"""Layers that slim lacks: explicit padding, L2 normalisation, and fast dilated convolution."""

import functools

import tensorflow as tf
import tf_slim as slim

from nets import variables


def pad2d(inputs: tf.Tensor, pad: int) -> tf.Tensor:
    """Zeros around the image: f[B, H, W, D] -> f[B, H + 2 pad, W + 2 pad, D].

    Caffe pads by 1 on both sides of a strided convolution, where TensorFlow's SAME pads an even
    input at the end only.
    """
    return tf.pad(inputs, [[0, 0], [pad, pad], [pad, pad], [0, 0]])


def l2_normalization(inputs: tf.Tensor, *, scale: float = 20.0) -> tf.Tensor:
    """Each position's channel vector scaled to length one, times a learned scale per channel.

    Source: ParseNet (Liu et al. 2015), and Caffe SSD's Normalize layer. The sum of squares is taken
    in float32 also when the activations are shorter.

    Args:
      inputs: f[B, H, W, D].
      scale: initial value of the scale `L2Normalization/gamma`, f[D].
    """
    with variables.layer_scope("L2Normalization"):
        gamma = slim.model_variable(
            "gamma",
            shape=[inputs.shape[-1]],
            dtype=inputs.dtype,
            initializer=variables.constant(scale),
        )
    values = tf.cast(inputs, tf.float32)
    inverse = tf.math.rsqrt(tf.reduce_sum(tf.square(values), axis=-1, keepdims=True) + 1e-10)
    return tf.cast(values * inverse, inputs.dtype) * gamma


@slim.add_arg_scope
def dilated_conv2d(
    inputs: tf.Tensor,
    num_outputs: int,
    kernel_size: tuple[int, int],
    *,
    rate: int,
    scope: str,
    weights_initializer: variables.Initializer,
    biases_initializer: variables.Initializer,
    activation_fn=tf.nn.relu,
) -> tf.Tensor:
    """`slim.conv2d` with a rate and SAME padding, as one operation.

    slim cuts the image into rate^2 small ones, each of which is padded and convolved: conv6 of
    SSD then took a sixth of a training step.

    Args:
      inputs: f[B, H, W, D].
      num_outputs: E.
      kernel_size: height and width.
      rate: distance of neighbouring taps.
      scope: of the variables, weights [*kernel_size, D, E] and biases [E].
      weights_initializer: of the weights.
      biases_initializer: of the biases.
      activation_fn: applied to the sums.

    Returns:
      f[B, H, W, E].
    """
    with variables.layer_scope(scope):
        weights = slim.model_variable(
            "weights",
            shape=[*kernel_size, inputs.shape[-1], num_outputs],
            dtype=inputs.dtype,
            initializer=weights_initializer,
        )
        biases = slim.model_variable(
            "biases", shape=[num_outputs], dtype=inputs.dtype, initializer=biases_initializer
        )
        if _differentiates_dilation(inputs.dtype):
            sums = tf.nn.conv2d(inputs, weights, 1, "SAME", dilations=rate)
        else:
            sums = tf.nn.atrous_conv2d(inputs, weights, rate, "SAME")
        return activation_fn(tf.nn.bias_add(sums, biases, name="BiasAdd"))


@functools.cache
def _differentiates_dilation(dtype: tf.DType) -> bool:
    """Whether gradients of dilated convolutions exist here: CPUs have oneDNN's, or none."""
    with tf.init_scope():
        ones = tf.ones([1, 3, 3, 1], dtype)
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=ones, filter_sizes=[3, 3, 1, 1], out_backprop=ones,
                strides=[1, 1, 1, 1], padding="SAME", dilations=[1, 2, 2, 1],
            )  # fmt: skip
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
