"""Members: learners, networks and predictions made elsewhere; how they learn from each other."""
