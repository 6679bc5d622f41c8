"""Estimates: scores to expect of a submission, with intervals."""
