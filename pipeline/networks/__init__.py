"""Backbones, their frozen features, and networks fine-tuned from them."""
