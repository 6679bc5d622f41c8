"""Report: the summary on the terminal, and the page with pictures."""
