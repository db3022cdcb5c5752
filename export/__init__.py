"""A checkpoint as SavedModel, TFLite, ONNX or slim checkpoint."""
