"""Processes that train together: strategy, cluster, rendezvous, launcher, data service."""
