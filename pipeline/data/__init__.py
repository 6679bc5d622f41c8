"""Images and their cache, duplicates, folds, augmentation."""
