"""Frozen backbones: pretrained weights, and the features that they give."""
