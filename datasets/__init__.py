"""Data sets on disk: VOC folders, TFRecord shards with index and manifest, and their names."""
