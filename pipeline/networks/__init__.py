"""Backbones, their frozen features, and networks fine-tuned from them (the only package with torch)."""
