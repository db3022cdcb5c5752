"""Where a training runs: `DeploymentConfig` turns flags into a strategy of TensorFlow.

The rest of the code asks the strategy it is given and never which one it is. A clone is a replica.
"""

import dataclasses

import tensorflow as tf

from errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeploymentConfig:
    """The layout of a training.

    Attributes:
      num_clones: replicas on this host, each with a batch of its own.
      clone_on_cpu: put the clones on the CPU even where there are GPUs.
    """

    num_clones: int = 1
    clone_on_cpu: bool = False

    def __post_init__(self):
        if self.num_clones < 1:
            raise InputError(f"--num_clones={self.num_clones} must be 1 or more.")

    def strategy(self) -> tf.distribute.Strategy:
        """The strategy; call before anything touches the devices.

        Raises:
          InputError: more clones than GPUs.
        """
        gpus = tf.config.list_physical_devices("GPU")
        if self.num_clones == 1:
            if self.clone_on_cpu and gpus:
                return tf.distribute.OneDeviceStrategy("/cpu:0")
            return tf.distribute.get_strategy()
        if self.clone_on_cpu or not gpus:
            return tf.distribute.MirroredStrategy(_logical_cpus(self.num_clones))
        if self.num_clones > len(gpus):
            raise InputError(
                f"--num_clones={self.num_clones} is more than the {len(gpus)} GPUs of this host: "
                "lower it, or pass --clone_on_cpu."
            )
        return tf.distribute.MirroredStrategy([f"/gpu:{i}" for i in range(self.num_clones)])


def _logical_cpus(count: int) -> list[str]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count
    )
    return [f"/cpu:{i}" for i in range(count)]
