#!/usr/bin/env bash
# Fetches slim's VGG-16 trained on ImageNet (about 0.5 GB) and checks its variables:
#   scripts/fetch_vgg16.sh [FOLDER]    default: checkpoints, which gives checkpoints/vgg_16.ckpt
# VGG_URL names a mirror, PYTHON an interpreter with TensorFlow in place of .venv. No checksum is published with the archive, so what is checked is that it
# unpacks and that the checkpoint holds the layers that SSD starts from, in their shapes.
set -euo pipefail
. "$(dirname "$0")/fetch_lib.sh"

folder=${1:-checkpoints}
url=${VGG_URL:-http://download.tensorflow.org/models}
name=vgg_16_2016_08_28.tar.gz
python=${PYTHON:-$(dirname "$0")/../.venv/bin/python}

check() {
  TF_CPP_MIN_LOG_LEVEL=2 "$python" - "$1" <<'PYTHON'
import sys

import tensorflow as tf

NEEDED = {
    "vgg_16/conv1/conv1_1/weights": [3, 3, 3, 64],
    "vgg_16/conv5/conv5_3/weights": [3, 3, 512, 512],
    "vgg_16/fc6/weights": [7, 7, 512, 4096],
    "vgg_16/fc7/weights": [1, 1, 4096, 4096],
}
found = dict(tf.train.list_variables(sys.argv[1]))
wrong = [name for name, shape in NEEDED.items() if found.get(name) != shape]
sys.exit(f"missing or of another shape: {', '.join(wrong)}" if wrong else 0)
PYTHON
}

[ -x "$python" ] || fail "the check needs TensorFlow: run make venv first"
mkdir -p "$folder"
fetch "$url/$name" "$folder/$name"
tar --extract --gzip --file "$folder/$name" --directory "$folder" ||
  fail "$folder/$name does not unpack: remove it and run this again"
check "$folder/vgg_16.ckpt" ||
  fail "$folder/vgg_16.ckpt is not slim's VGG-16: remove $folder/$name and run this again"
echo "$folder/vgg_16.ckpt is slim's VGG-16; $folder/$name may go"
