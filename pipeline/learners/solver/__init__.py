"""A solver of many linear models at once."""
