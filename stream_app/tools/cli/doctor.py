"""``headrace doctor``: whether a worker could run here."""

import typer


def register(cli: typer.Typer) -> None:
    """Add the command."""

    @cli.command()
    def doctor() -> None:
        """Check the broker, the topics, Redis, the disk and the clocks; say what to do about what is wrong.

        It looks at HEADRACE_BROKER, HEADRACE_REDIS and HEADRACE_DATA_DIR. The exit status is 1 if a
        check failed; warnings leave it 0.
        """
        from stream_app.settings import load_settings  # noqa: PLC0415
        from stream_app.tools.diagnostics import Verdict, examine  # noqa: PLC0415

        colours = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
        failed = False
        for finding in examine(load_settings()):
            mark, rest = str(finding)[:4], str(finding)[4:]
            typer.echo(typer.style(mark, fg=colours[finding.verdict], bold=True) + rest)
            failed = failed or finding.verdict is Verdict.FAIL
        raise typer.Exit(int(failed))
