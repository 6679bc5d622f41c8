"""What all other packages use: files, rows, folds, predictions. It imports no torch."""
