"""Errors for people: one sentence with the error, its location and the remedy."""


class UserError(Exception):
    """An error that the operator can fix; printed without a traceback, exit status 1."""
