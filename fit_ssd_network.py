"""Makes a detector of a folder of annotated images, in one command.

  fit_ssd_network.py --input=my_images --output_dir=runs/mine
  fit_ssd_network.py --input=my_images --output_dir=runs/mine --minutes=10 --export=saved_model
  fit_ssd_network.py --input=instances.json --output_dir=runs/cars --classes='car=car,truck;person'

It inspects the data, divides and converts it, chooses network, weights and schedule and says why,
trains, scores, draws detections and exports. In output_dir: records/, train/, eval/, report/,
detections/ and export/. The same command again resumes. Exit codes: 0 done, 1 internal error,
2 invalid input, 75 interrupted (rerun to resume), 130 ended by Ctrl-C before the first step.
"""

import os

from runtime import cli
from runtime.errors import EXIT_STOPPED_EARLY
from runtime.settings import define_flags, from_flags
from training.fitting.settings import FitSettings


def main() -> int:
    """Flags -> settings -> one call."""
    cli.quiet_tensorflow()

    from training.fitting.fit import fit

    return 0 if fit(from_flags(FitSettings), os.environ) else EXIT_STOPPED_EARLY


if __name__ == "__main__":
    define_flags(FitSettings)
    cli.run(main, usage=__doc__)
