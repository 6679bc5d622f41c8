"""Images: their files, decoding, cache, augmentation and batches."""
