"""Checks of a network before a night of training."""
