"""Metrics: what a score is of, and how each is computed."""
