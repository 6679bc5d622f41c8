"""Folds: which rows are held out together."""
