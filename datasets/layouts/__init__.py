"""Layouts of annotated images: VOC and COCO, and the image files themselves."""
