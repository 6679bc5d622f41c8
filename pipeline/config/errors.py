"""The one exception for what a user can cause; the command line prints it without a traceback."""


class UserError(Exception):
    """Wrong input: says where, what came, what was expected and what to do now."""
