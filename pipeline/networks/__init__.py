"""Networks fine-tuned from backbones: model, losses, training, inference, checks."""
