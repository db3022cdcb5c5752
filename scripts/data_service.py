"""Serves trainings that have their images decoded and augmented elsewhere, until it is stopped.

  scripts/data_service.py --port=5050 --host=NAME_OF_THIS_HOST
  train_ssd_network.py --data_service=grpc://NAME_OF_THIS_HOST:5050 ...

It uses the port and the next one, and reads the records at the path that they have where the
training runs. Anyone who can reach its ports can run code in it.
"""

import dataclasses
import time

from runtime import cli

cli.quiet_tensorflow()

import tensorflow as tf  # noqa: E402

from runtime.errors import InputError  # noqa: E402
from runtime.settings import define_flags, from_flags, setting  # noqa: E402
from runtime.signals import StopRequest  # noqa: E402

_POLL_SECS = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The flags."""

    port: int = setting(5050, "Port of this service; the next port is used as well.")
    host: str = setting("localhost", "Name or address by which trainings reach this host.")


def main() -> None:
    """A dispatcher and its only worker, in one process."""
    settings, service = from_flags(ServiceSettings), tf.data.experimental.service
    own, next_one = settings.port, settings.port + 1
    try:
        dispatcher = service.DispatchServer(service.DispatcherConfig(port=own))
        worker = service.WorkerServer(
            service.WorkerConfig(
                dispatcher_address=f"localhost:{own}",
                worker_address=f"{settings.host}:{next_one}",
                port=next_one,
            )
        )
    except tf.errors.OpError as error:
        raise InputError(
            f"--port={own}: the ports {own} and {next_one} cannot be used ({error.message}): "
            "choose others."
        ) from error
    print(
        f"Serves at grpc://{settings.host}:{own}; listens at the ports {own} and {next_one} of "
        "every interface of this host.",
        flush=True,
    )
    with StopRequest() as interrupts:
        while not interrupts.received:
            time.sleep(_POLL_SECS)
    del worker, dispatcher


if __name__ == "__main__":
    define_flags(ServiceSettings)
    cli.run(main, usage=__doc__)
