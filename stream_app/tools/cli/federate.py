"""``headrace federate``: shops learn the shared parameters of the two-tower model together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_app.tools.cli.command import add_command
from stream_app.tools.cli.shared_options import MappingFile

HELP = (
    "Learn across shops: each trains at home, and gives a clipped, noisy change of the shared parameters.\n\n"
    "Shared are the encoder of sequences and the projections of contents. Item vectors, ids, users and events never "
    "leave a shop. Connections are encrypted, and both sides show a certificate. docs/federation.md says what is "
    "protected, and what it costs.\n\n"
    "Needs `pip install 'headrace\\[federated]'`, in an environment of its own.\n\n"
    "\b\nExample, on one machine:\n"
    "  headrace federate certificates certs --host localhost --shop north --shop south\n"
    "  headrace federate server --model shared.safetensors --shops 2 \\\n"
    "      --certificate certs/server.pem --private-key certs/server.key \\\n"
    "      --root-certificate certs/root.pem\n"
    "  headrace federate client --train north.jsonl --output north.safetensors \\\n"
    "      --certificate certs/north.pem --private-key certs/north.key \\\n"
    "      --root-certificate certs/root.pem"
)
SERVER_HELP = (
    "Coordinate the shops: send the shared parameters, wait for updates, learn their mean, round by round.\n\n"
    "The server needs no data. It writes the shared parameters to --model after each round, and goes on from there "
    "when it is started again. A shop that leaves is left out; an update of another shape, with values that are "
    "not finite, or longer than a clipped one, is refused. Each shop needs a certificate of its own, signed by "
    "--root-certificate.\n\n"
    "\b\nExample:\n"
    "  headrace federate server --address 0.0.0.0:9443 --shops 5 --rounds 20 \\\n"
    "      --model shared.safetensors --certificate server.pem \\\n"
    "      --private-key server.key --root-certificate root.pem"
)
CLIENT_HELP = (
    "Take part as a shop: train on its own sessions, give noisy updates, and write a checkpoint at the end.\n\n"
    "A session file has one JSON list of item ids per line, as for `headrace evaluate sessions`; an event log "
    "is read as by `headrace replay`. The newest interactions are not learned: the hit rate on them is printed, and "
    "not sent.\n\n"
    "What the shop has given is counted in a file beside the checkpoint, over all runs. An update that would raise "
    "epsilon above --max-epsilon is not given.\n\n"
    "\b\nExamples:\n"
    "  headrace federate client --address federation.example:9443 \\\n"
    "      --train sessions.jsonl.gz --output checkpoint.safetensors \\\n"
    "      --certificate north.pem --private-key north.key --root-certificate root.pem\n"
    "  headrace federate client --events log.jsonl --format jsonl --output c.safetensors \\\n"
    "      --certificate north.pem --private-key north.key --root-certificate root.pem"
)
CERTIFICATES_HELP = (
    "Make certificates for a federation: a root, and one for the server and for each shop.\n\n"
    "The key of the root is not written. Give each shop its two files and root.pem over a channel that you "
    "trust.\n\n"
    "\b\nExample:\n"
    "  headrace federate certificates certs --host federation.example \\\n"
    "      --shop north --shop south"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class FederationOptions:
    """Options of both sides."""

    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where the server listens.", show_default=True)
    ] = "localhost:9443"
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Certificate of this side, PEM.")
    ] = None
    private_key: Annotated[Path | None, typer.Option(metavar="FILE.key", help="Its private key, PEM.")] = None
    root_certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pem", help="Root certificate that signed that of the other side, PEM."),
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Connect in plaintext and without certificates: everyone can join and read."
        ),
    ] = False
    clip: Annotated[float, typer.Option(min=1e-6, help="Largest norm of an update; equal on all sides.")] = (
        1.0
    )
    noise: Annotated[
        float,
        typer.Option(min=0.0, help="Standard deviation of the noise, divided by --clip; equal on all sides."),
    ] = 8.0
    without_noise: Annotated[
        bool, typer.Option("--without-noise", help="Give updates without noise: nothing is protected then.")
    ] = False
    without_catalog: Annotated[
        bool, typer.Option("--without-catalog", help="Do not share projections of contents.")
    ] = False
    text_dimensions: Annotated[
        int, typer.Option(min=0, max=4_096, help="Length of the text embeddings of the catalogs.")
    ] = 0
    image_dimensions: Annotated[
        int, typer.Option(min=0, max=4_096, help="Length of the image embeddings of the catalogs.")
    ] = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class FederationServerOptions(FederationOptions):
    """Options of ``headrace federate server``."""

    model: Annotated[
        Path,
        typer.Option(metavar="FILE.safetensors", help="The shared parameters, written after each round."),
    ]
    shops: Annotated[
        int, typer.Option(min=2, max=200, metavar="N", help="The first round waits for this number of shops.")
    ] = 2
    least_shops: Annotated[
        int, typer.Option(min=2, max=200, metavar="N", help="Later rounds need this number of shops.")
    ] = 2
    rounds: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Rounds of the federation.")] = (
        20
    )
    steps: Annotated[
        int, typer.Option(min=1, max=100_000, metavar="N", help="Training steps of a shop in a round.")
    ] = 50
    round_timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="A shop that takes longer is disconnected.")
    ] = 3_600.0
    join_timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="How long to wait for missing shops.")
    ] = 3_600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FederationClientOptions(FederationOptions):
    """Options of ``headrace federate client``."""

    output: Annotated[
        Path, typer.Option(metavar="FILE.safetensors", help="Write the checkpoint of this shop here.")
    ]
    train: Annotated[Path | None, typer.Option(metavar="FILE", help="Session file; plain or gzip.")] = None
    events: Annotated[Path | None, typer.Option(metavar="FILE", help="Event log; plain or gzip.")] = None
    format_name: Annotated[
        str, typer.Option("--format", "-f", help="Of the event log: jsonl, csv, recbole or trivago.")
    ] = "jsonl"
    mapping: MappingFile = None
    validation_share: Annotated[
        float,
        typer.Option(
            min=0.0, max=0.5, metavar="F", help="Share of the interactions, the newest, to measure on."
        ),
    ] = 0.1
    max_epsilon: Annotated[
        float,
        typer.Option(
            min=0.0, metavar="E", help="Give nothing that would raise epsilon above it (delta 1e-5)."
        ),
    ] = 10.0
    local_steps: Annotated[
        int, typer.Option(min=0, metavar="N", help="Training steps after the last round, at home.")
    ] = 50
    connect_timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="How long to try to reach the server.")
    ] = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FederationCertificatesOptions:
    """Options of ``headrace federate certificates``."""

    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write to; made if it does not exist.")
    ]
    host: Annotated[
        list[str], typer.Option(metavar="HOST", help="Name or address of the server; may be repeated.")
    ]
    shop: Annotated[list[str], typer.Option(metavar="NAME", help="Name of a shop; may be repeated.")]
    days: Annotated[int, typer.Option(min=1, max=3_650, metavar="N", help="Days of validity.")] = 365


def register(cli: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help=HELP)
    add_command(group, "server", "federate:run_server", FederationServerOptions, help=SERVER_HELP)
    add_command(group, "client", "federate:run_client", FederationClientOptions, help=CLIENT_HELP)
    add_command(
        group,
        "certificates",
        "federate:run_certificates",
        FederationCertificatesOptions,
        help=CERTIFICATES_HELP,
    )
    cli.add_typer(group, name="federate")
