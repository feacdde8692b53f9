"""What each command of ``headrace`` does: one module a command, with a function that `cli` names.

A module is imported when its command runs, so imports stand at the top. Options are the dataclasses of `cli`.
"""
