"""The command line: options and help of each command; one module per command or group, with a `register`.

Modules here import typer and light modules only, so that ``headrace --help`` answers at once. The work is in
`stream_app.tools.commands`, imported when a command runs.
"""
