"""Layers that slim lacks: explicit padding and the L2 normalisation of conv4_3."""

import tensorflow as tf
import tf_slim as slim

from nets import variables


def pad2d(inputs: tf.Tensor, pad: int) -> tf.Tensor:
    """Zeros around the picture: f[B, H, W, D] -> f[B, H + 2 pad, W + 2 pad, D].

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
            "gamma", shape=[inputs.shape[-1]], initializer=variables.constant(scale)
        )
    values = tf.cast(inputs, tf.float32)
    inverse = tf.math.rsqrt(tf.reduce_sum(tf.square(values), axis=-1, keepdims=True) + 1e-10)
    return tf.cast(values * inverse, inputs.dtype) * tf.cast(gamma, inputs.dtype)
