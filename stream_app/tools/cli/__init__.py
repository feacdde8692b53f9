"""The command line: one module a command (or a group of them), each with a `register` that adds it.

A command parses its options, calls the code that does the work, and prints. Heavy imports stay inside the
command functions, so that ``headrace --help`` answers at once.
"""
