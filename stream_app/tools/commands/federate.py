"""Run the server of a federation, or take part as a shop."""

import logging
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from stream_app.encoders.optional_packages import import_package
from stream_app.errors import UserError
from stream_app.federation.credentials import Credentials, read_pem
from stream_app.federation.terms import PrivacyRecord, Terms
from stream_app.federation.updates import Privacy
from stream_app.models.checkpoint import Manifest, encode_checkpoint
from stream_app.models.item_content import ItemContent
from stream_app.settings import load_settings
from stream_app.tools.cli.federate import (
    FederationCertificatesOptions,
    FederationClientOptions,
    FederationOptions,
    FederationServerOptions,
)
from stream_app.tools.progress import progress_bar
from stream_app.tools.report_file import check_writable

_EXTRA = "federated"
_PURPOSE = "headrace federate"


def run_server(options: FederationServerOptions) -> None:
    """Coordinate the rounds of a federation."""
    flower = _import_flower()
    privacy, credentials = _privacy(options), _credentials(options)
    training = import_package("stream_app.training.two_tower_training", _EXTRA, _PURPOSE)
    coordination = import_package("stream_app.federation.coordinator", _EXTRA, _PURPOSE)
    if options.least_shops > options.shops:
        raise UserError(f"--least-shops {options.least_shops} is more than --shops {options.shops}.")
    check_writable(options.model, "--model")
    content = None if options.without_catalog else _content(options.text_dimensions, options.image_dimensions)
    coordinator = coordination.Coordinator(
        training.TwoTowerTraining(content=content).dense_parameters(),
        content.fingerprint if content else "",
        privacy,
        options.model,
        options.rounds,
        options.steps,
    )
    if coordinator.is_complete:
        raise UserError(
            f"{options.model} has {coordinator.n_rounds} rounds already; start with more --rounds, or another "
            "--model."
        )
    server = flower.FederationServer(
        options.address,
        credentials,
        coordinator,
        shops=options.shops,
        least=options.least_shops,
        round_timeout=options.round_timeout,
        join_timeout=options.join_timeout,
    )
    host = options.address.rpartition(":")[0]
    typer.echo(f"listening at {host}:{server.port}, waiting for {options.shops} shops", err=True)
    started = time.monotonic()

    def on_round(number: int, names: list[str]) -> None:
        typer.echo(
            f"round {number} of {options.rounds}: {len(names)} updates ({', '.join(sorted(names))}), "
            f"{time.monotonic() - started:.0f} s",
            err=True,
        )

    def stop(_signal: int, _frame: object) -> None:
        # the round waits for its shops until their connections end
        server.close()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        server.run(on_round)
    except KeyboardInterrupt:
        typer.echo(
            f"stopped after {coordinator.n_rounds} rounds; the same command goes on from {options.model}",
            err=True,
        )
        raise
    finally:
        server.close()
    typer.echo(f"{coordinator.n_rounds} rounds; the shared parameters are in {options.model}.")


def run_client(options: FederationClientOptions) -> None:
    """Take part as a shop, and write its checkpoint."""
    flower = _import_flower()
    privacy, credentials = _privacy(options), _credentials(options)
    data_module = import_package("stream_app.tools.commands.federate_data", _EXTRA, _PURPOSE)
    shops = import_package("stream_app.federation.shop", _EXTRA, _PURPOSE)
    training_module = import_package("stream_app.training.two_tower_training", _EXTRA, _PURPOSE)
    accounting = import_package("stream_app.federation.accounting", _EXTRA, _PURPOSE)
    check_writable(options.output, "--output")
    record = PrivacyRecord(options.output.with_name(options.output.name + ".privacy.json"))
    settings = load_settings()
    data = data_module.read_shop(options, settings)
    content = None if options.without_catalog else data.content
    config = training_module.TrainingConfig(session_gap=settings.session_gap)
    training = training_module.TwoTowerTraining(config=config, content=content)
    learned, newest = data.split(options.validation_share)
    for entry in data.entries:
        training.add_catalog(entry)
    data_module.learn(training, learned)
    max_epsilon = math.inf if options.without_noise else options.max_epsilon
    with progress_bar(Console(stderr=True), "waiting for the server", None) as update:

        def on_step(terms: Terms, step: int) -> None:
            done = (terms.round - 1) * terms.steps + step
            update(done, f"round {terms.round} of {terms.rounds}, step {step} of {terms.steps}")

        shop = shops.Shop(
            training,
            content.fingerprint if content else "",
            privacy,
            record,
            accounting.shop_epsilon,
            max_epsilon,
            on_step,
        )
        try:
            last = flower.Connection(options.address, credentials, options.connect_timeout).take_part(shop)
            shop.finish(last, options.local_steps)
        except KeyboardInterrupt:
            typer.echo(
                f"stopped after {shop.n_rounds} updates, which stay counted; no checkpoint was written",
                err=True,
            )
            raise
    weights = training.weights()
    rate = import_package("stream_app.training.hit_rate", _EXTRA, _PURPOSE).hit_rate(
        weights, data_module.choices(training, newest)
    )
    _write_checkpoint(options.output, weights, training, rate)
    typer.echo(
        f"gave {shop.n_rounds} updates; epsilon of all that this shop gave: {_format_epsilon(shop.epsilon)} "
        f"(delta {accounting.DELTA:g}). Hit rate at 20 on the newest {len(newest):,} interactions: {rate:.4f}. "
        f"The checkpoint is {options.output}."
    )


def run_certificates(options: FederationCertificatesOptions) -> None:
    """Write certificates for a server and shops."""
    certificates = import_package("stream_app.federation.certificates", _EXTRA, _PURPOSE)
    reserved = {certificates.ROOT_NAME, certificates.SERVER_NAME}
    for name in options.shop:
        if name in reserved or not name.replace("-", "").replace("_", "").isalnum():
            raise UserError(
                f"--shop {name}: a name has letters, digits, - and _, and is not {' or '.join(sorted(reserved))}."
            )
    try:
        paths = certificates.write_certificates(options.folder, options.host, options.shop, options.days)
    except FileExistsError as error:
        raise UserError(f"{error.filename} exists already; name another folder.") from None
    except OSError as error:
        raise UserError(f"{options.folder} cannot be written: {error.strerror or error}.") from None
    typer.echo("\n".join(str(path) for path in paths))


def _import_flower() -> Any:
    # Flower reports its use to its makers unless told not to; nothing here calls that, and nothing shall
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    flower = import_package("stream_app.federation.flower", _EXTRA, _PURPOSE)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for name in ("flwr", "jax"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return flower


def _privacy(options: FederationOptions) -> Privacy:
    for name, value in (("--clip", options.clip), ("--noise", options.noise)):
        if not math.isfinite(value):
            raise UserError(f"{name} {value:g} is no number that can be agreed on.")
    if options.without_noise:
        return Privacy(clip=options.clip, noise=0.0)
    if options.noise <= 0.0:
        raise UserError(
            "--noise 0 protects nothing: what a shop gives may tell what its users did. Choose a larger one, or say "
            "--without-noise if all shops trust each other and the server."
        )
    return Privacy(clip=options.clip, noise=options.noise)


def _credentials(options: FederationOptions) -> Credentials | None:
    """Certificates as named; None with ``--insecure``."""
    named = {
        "--certificate": options.certificate,
        "--private-key": options.private_key,
        "--root-certificate": options.root_certificate,
    }
    if options.insecure:
        if any(named.values()):
            raise UserError(
                "--insecure uses no certificates: name certificates, or --insecure, and not both."
            )
        typer.echo("warning: plaintext; everyone on the way can read, change and join", err=True)
        return None
    missing = [option for option, path in named.items() if path is None]
    if missing:
        raise UserError(
            f"{', '.join(missing)} missing: connections are encrypted, and both sides show a certificate. "
            "`headrace federate certificates` makes them; --insecure does without."
        )
    return Credentials(*(read_pem(option, path) for option, path in named.items() if path is not None))


def _content(text_dimensions: int, image_dimensions: int) -> ItemContent:
    return ItemContent(text_dimensions, image_dimensions=image_dimensions)


def _write_checkpoint(path: Path, weights: Any, training: Any, rate: float) -> None:
    now = time.time()
    manifest = Manifest(
        version=int(now * 1_000),
        created_at=now,
        interactions=training.n_interactions,
        steps=training.n_steps,
        hit_rate=rate if rate == rate else None,  # noqa: PLR0124  # NaN without choices
    )
    path.write_bytes(encode_checkpoint(weights, manifest))


def _format_epsilon(epsilon: float) -> str:
    return "infinite, nothing is protected" if epsilon == float("inf") else f"{epsilon:.3g}"
