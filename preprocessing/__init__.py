"""From an encoded picture and its boxes to the network's input, for training and evaluation."""
