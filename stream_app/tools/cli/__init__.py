"""The command line: options and help of each command; one module a command or group, with a `register`.

Modules here import typer and one another only, so that ``headrace --help`` answers at once. What a command does is in
`stream_app.tools.commands`, imported when the command runs.
"""
