"""Where and how things run: strategies, the training loop, checkpoints, evaluation, detection."""
