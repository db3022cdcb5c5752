"""TFRecord shards on disk: index, manifest, reading and writing."""
