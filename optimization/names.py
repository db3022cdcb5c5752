"""Optimizers and schedules by name; imports no TensorFlow."""

LEARNING_RATE_DECAY_TYPES = ("fixed", "exponential", "polynomial", "step", "poly", "cosine")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamw", "ftrl", "momentum", "rmsprop", "sgd")
