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
        from stream_app.tools.diagnostics import CheckStatus, run_checks  # noqa: PLC0415

        colors = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}
        failed = False
        for result in run_checks(load_settings()):
            label, rest = str(result)[:4], str(result)[4:]
            typer.echo(typer.style(label, fg=colors[result.status], bold=True) + rest)
            failed = failed or result.status is CheckStatus.FAIL
        raise typer.Exit(int(failed))
