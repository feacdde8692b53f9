"""The work of each command of ``headrace``: one module per command, with a function that `cli` names.

A module is imported when its command runs, so imports stand at the top. Options are the dataclasses of `cli`.
"""
