"""The plan: which jobs there are, what each depends on, and how they run."""
