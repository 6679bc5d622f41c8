"""Leaks: what should not predict the target, and labels that may be wrong."""
