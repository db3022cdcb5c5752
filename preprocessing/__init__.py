"""From an encoded image and its boxes to the network's input, for training and evaluation."""
