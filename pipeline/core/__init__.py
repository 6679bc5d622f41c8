"""The floor that everything stands on: files, rows, scores, jobs. It imports no torch."""
