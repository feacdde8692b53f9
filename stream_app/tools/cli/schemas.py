"""``headrace topics schema``: the documents that describe what flows on Kafka."""

from typing import Annotated

import typer


def register(topics_cli: typer.Typer) -> None:
    """Add the command to the ``topics`` group."""

    @topics_cli.command()
    def schema(
        name: Annotated[
            str | None,
            typer.Argument(help="An event or record (click, purchase, …) or `asyncapi`; none lists them."),
        ] = None,
        *,
        write: Annotated[
            bool,
            typer.Option("--write", help="Write all of them into the `topics` folder."),
        ] = False,
    ) -> None:
        """Print the JSON Schema of an event or record, or the AsyncAPI document of all topics.

        Example: `headrace topics schema click`.
        """
        from stream_app.errors import UserError  # noqa: PLC0415
        from topics import schema_documents as documents  # noqa: PLC0415

        documents_by_name = documents.documents()
        if name is not None and name not in documents_by_name:
            raise UserError(f"There is no document {name!r}; there are {', '.join(documents_by_name)}.")
        if write:
            try:
                changed = documents.write()
            except OSError as error:
                raise UserError(
                    f"Cannot write the documents: {error.strerror} ({error.filename}). "
                    "--write is for a checkout of the repository."
                ) from None
            for file in changed:
                typer.echo(f"changed {file}")
            if not changed:
                typer.echo(f"{len(documents_by_name)} documents in step with the code")
        elif name is None:
            for path in documents.render_all():
                typer.echo(f"{documents.FOLDER / path}")
        else:
            typer.echo(documents.render(documents_by_name[name]), nl=False)
