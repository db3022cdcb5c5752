"""A detector: network, anchors, labels and weights, in memory, in checkpoints and in exports."""
