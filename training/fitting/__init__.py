"""From a folder of annotated images to a scored detector: what `fit_ssd_network.py` does."""
