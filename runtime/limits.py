"""The largest values that are taken from outside; imports no TensorFlow.

What is larger is refused before it is read, decoded or reserved. `docs/security.md` lists them.
"""

MAX_SEED = 2**61 - 1  # `datasets.order.stream_key` has four keys of a seed in 64 bits

# Images and records.
MAX_PIXELS = 100_000_000  # of an image: 300 MB once it is decoded
MAX_IMAGE_BYTES = MAX_RECORD_BYTES = 500_000_000
MAX_JPEG_SEGMENTS = 10_000
MAX_OBJECTS = 20_000  # of an image; a training takes as many as its network has anchors
MAX_RECORDS = 100_000_000  # of a shard
MAX_CLASSES = 20_000

# Files of text.
MAX_TEXT_BYTES = 100_000_000
MAX_TABLE_BYTES = 4_000_000_000  # annotations of a whole data set, as JSON or CSV
MAX_CVAT_BYTES = 500_000_000
MAX_XML_BYTES = 10_000_000  # of one image
MAX_YAML_BYTES = 1_000_000
MAX_PATHS = 1_000_000  # files of a folder among which an image is looked for

# Models and clusters.
MAX_WEIGHT_BYTES = 1 << 32
MAX_DEPTH_MULTIPLIER = 4.0
MAX_HOSTS = 100_000
