"""Optimizers and schedules by name, and the flags that each reads; imports no TensorFlow."""

LEARNING_RATE_DECAY_TYPES = ("fixed", "exponential", "polynomial", "step", "poly", "cosine")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "adamw", "ftrl", "momentum", "rmsprop", "sgd")
# Flags that are read with some values of another one only.
READ_WITH = {
    "learning_rate_decay_type": {
        "end_learning_rate": ("polynomial", "cosine"),
        "learning_rate_decay_factor": ("exponential", "step"),
        "num_epochs_per_decay": ("exponential", "polynomial"),
        "decay_steps": ("exponential", "polynomial"),
        "learning_rate_decay_boundaries": ("step",),
        "learning_power": ("poly",),
    },
    "optimizer": {
        "opt_epsilon": ("adadelta", "adam", "adamw", "rmsprop"),
        "momentum": ("momentum",),
        "adam_beta1": ("adam", "adamw"),
        "adam_beta2": ("adam", "adamw"),
        "adadelta_rho": ("adadelta",),
        "adagrad_initial_accumulator_value": ("adagrad",),
        "ftrl_learning_rate_power": ("ftrl",),
        "ftrl_initial_accumulator_value": ("ftrl",),
        "ftrl_l1": ("ftrl",),
        "ftrl_l2": ("ftrl",),
        "rmsprop_momentum": ("rmsprop",),
        "rmsprop_decay": ("rmsprop",),
    },
}
