"""Submissions: the form that the sample asks for, and the file."""
