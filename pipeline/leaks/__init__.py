"""Leaks: what should not tell the target, and labels that may be wrong."""
