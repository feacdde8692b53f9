"""Print or write the schema documents of the contract."""

import typer

from stream_app.errors import UserError
from stream_app.tools.cli.schemas import SchemaOptions
from topics import schema_documents as documents


def run(options: SchemaOptions) -> None:
    """Print one document, list all, or write all.

    Raises
    ------
    UserError
        If there is no document of that name, or the documents cannot be written.
    """
    documents_by_name = documents.documents()
    name = options.name
    if name is not None and name not in documents_by_name:
        raise UserError(f"There is no document {name!r}; there are {', '.join(documents_by_name)}.")
    if options.write:
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
