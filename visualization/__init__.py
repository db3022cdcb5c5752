"""Boxes on images, charts and HTML pages."""
