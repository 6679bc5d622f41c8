"""Predictions of new images, by the models and the blend that made a submission."""
