"""The drawn data set of the demo."""
