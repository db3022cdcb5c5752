"""Scores a checkpoint, an export or devkit files, and writes the report."""
