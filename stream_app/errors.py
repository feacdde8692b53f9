"""Errors for people: one sentence that says what was wrong, where, and what to do next."""


class UserError(Exception):
    """Something the person at the terminal can put right; shown without a traceback, exit status 1."""
