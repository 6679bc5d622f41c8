"""Blends: one prediction of several members'."""
