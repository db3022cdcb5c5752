"""Layouts of annotated images, which `registry.py` names, and the image files themselves."""
