"""Scores of detections: Pascal VOC and COCO average precision, devkit files, tables, images."""
