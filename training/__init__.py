"""A run from records to checkpoints, resumable at any step; `fit` begins at a folder of images."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.fitting.fit import Fitted


def fit(input: str, output_dir: str, **settings: Any) -> "Fitted | None":
    """Makes a detector of a folder of annotated images: `fit_ssd_network.py` as a call.

    Args:
      input: folder of annotated images in any layout, or file of annotations.
      output_dir: folder of the result; what was begun in it is resumed.
      settings: other flags of `fit_ssd_network.py`, by name.

    Returns:
      The scores and where all is; None where a signal stopped the training, which the same call
      resumes.

    Raises:
      InputError: settings, data or output_dir do not allow it.
    """
    import os

    from training.fitting import fit as fitting
    from training.fitting.settings import FitSettings

    given = FitSettings(input=input, output_dir=output_dir, **settings)
    return fitting.fit(given, os.environ)
