"""Discovery: what lies in a competition's folder, and the config that fits it.

One file per question: which files, which tables, where the images are, what the target is, which
columns are more than labels, and how the YAML is written. Each answer is a `Guess`.
"""
