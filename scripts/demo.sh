#!/usr/bin/env bash
# What `make demo` does, in plain commands: draw a data set, convert, train, evaluate, draw detections.
# Everything lands under demo/. A run that was interrupted while training is resumed; otherwise
# the demo starts afresh and removes what an earlier one made.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
recipe=configs/demo.flags
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2

say() {
  echo
  echo "== $*"
}

make_data() {
  say "1/4  drawing images of shapes into demo/VOCdevkit"
  $python scripts/make_shapes_devkit.py --output_dir=demo/VOCdevkit

  say "2/4  converting them to TFRecords in demo/tfrecords"
  for split in train test; do
    $python tf_convert_data.py --dataset_dir=demo/VOCdevkit/VOC2007 --split=$split \
      --output_name=shapes_$split --output_dir=demo/tfrecords
  done
  cp $recipe demo/demo.flags # from here on the data is whole
}

if cmp -s $recipe demo/demo.flags && [ ! -e demo/detections.png ]; then
  say "resuming the unfinished run in demo/ (rm -r demo to start over)"
else
  [ ! -d demo ] || say "starting afresh: removing the earlier demo/"
  rm -rf demo/demo.flags demo/VOCdevkit demo/tfrecords demo/train demo/eval demo/detections.png
  mkdir -p demo
  make_data
fi

say "3/4  training, into demo/train"
$python train_ssd_network.py --flagfile=$recipe --dataset_dir=demo/tfrecords --train_dir=demo/train

say "4/4  evaluating on the held-out images, into demo/eval"
$python eval_ssd_network.py --checkpoint_path=demo/train --eval_dir=demo/eval \
  --dataset_name=shapes --dataset_split_name=test --dataset_dir=demo/tfrecords \
  --contact_sheet=demo/detections.png

say "done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "  demo/detections.png      ground truth and detections"
echo "  demo/eval/metrics.json   the scores"
echo "  demo/train               the checkpoints; curves: .venv/bin/tensorboard --logdir=demo/train"
