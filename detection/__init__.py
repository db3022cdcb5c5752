"""Detects on images, videos and cameras; writes JSON, CSV, XML and drawings."""
