"""Learners: blocks are concatenated, and a classical model is fitted on them inside each fold."""
