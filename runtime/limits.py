"""The largest values that are taken from outside; imports no TensorFlow."""

MAX_SEED = 2**61 - 1  # `datasets.order.stream_key` has four keys of a seed in 64 bits
