"""A run from records to checkpoints, resumable at any step."""
