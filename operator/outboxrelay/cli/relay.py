"""outboxrelay relay: runs one relay process from a config file and credential files."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import click
import structlog
import yaml

from outboxrelay.api import names
from outboxrelay.api.manifest import RelayManifest, parse_manifest
from outboxrelay.cli import EXIT_FAILED, cli
from outboxrelay.cli.options import Number
from outboxrelay.errors import CannotRun, InvalidInput
from outboxrelay.telemetry import LEVELS, configure_logging

MAX_CONFIG_BYTES = 1024 * 1024
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - the kubelet and the operator ask from other machines

EPILOG = """\b
Examples:
  outboxrelay relay --config relay.yaml --credentials credentials
      with the password of Secret orders-db in credentials/orders-db/uri
  OUTBOXRELAY_RELAY_PORT=0 outboxrelay relay --config relay.yaml \\
      --credentials credentials --host 127.0.0.1 --log-level debug
  curl localhost:8080/state

\b
Logs are JSON, a line each, on standard error; /state tells how it is. A
database or broker that is away is waited for. Stops in order at SIGTERM.
Exit codes: 0 after SIGTERM; 1 a port that is taken, or a bug; 2 an option,
  a variable or the manifest is wrong.
"""


@cli.command("relay", epilog=EPILOG)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=Path(names.CONFIG_DIRECTORY) / names.CONFIG_FILE,
    show_default=True,
    help="The OutboxRelay manifest to run.",
)
@click.option(
    "--credentials",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    default=Path(names.CREDENTIALS_DIRECTORY),
    show_default=True,
    help="Directory with a directory for each Secret and in it a file for each key.",
)
@click.option(
    "--port",
    type=Number(0, 65535),
    default=names.RELAY_PORT,
    show_default=True,
    help="TCP port of /livez /readyz /state /metrics; 0 takes a free one and logs it.",
)
@click.option("--host", metavar="ADDRESS", default=ALL_ADDRESSES, show_default=True, help="Address to listen on.")
@click.option(
    "--member", metavar="NAME", default="", help="Name of this process in /state.  [default: host name and process id]"
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="Least level to log.")
def relay(config: Path, credentials: Path, port: int, host: str, member: str, log_level: str) -> int:
    """Carry rows of one outbox table to Kafka until SIGTERM."""
    manifest = load_manifest(config)
    if not credentials.is_dir():
        raise InvalidInput(
            f"--credentials {credentials}: no such directory; give one that holds SECRET/KEY for each Secret's key"
        )
    configure_logging(log_level)
    # Imported late: the other commands need neither the event loop nor the clients.
    from outboxrelay.relay.app import Options, run

    options = Options(manifest, credentials, host, port, member or f"{socket.gethostname()}-{os.getpid()}")
    try:
        return asyncio.run(run(options))
    except (InvalidInput, CannotRun):
        raise
    except Exception:  # noqa: BLE001 - the last frame: a bug ends the process loudly, and the table has every row
        structlog.get_logger(__name__).exception("relay_crashed")
        sys.exit(EXIT_FAILED)


def load_manifest(path: Path) -> RelayManifest:
    """The manifest in ``path``; raises InvalidInput that names the file and the place in it."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"--config {path}: {error.strerror}; name the OutboxRelay manifest") from None
    if len(text) > MAX_CONFIG_BYTES:
        raise InvalidInput(f"--config {path}: larger than {MAX_CONFIG_BYTES} bytes, so no OutboxRelay manifest")
    try:
        return parse_manifest(_one_relay(list(yaml.safe_load_all(text))))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"--config {path}: line {line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        raise InvalidInput(f"--config {path}: not YAML") from None
    except InvalidInput as error:
        raise InvalidInput(f"--config {path}: {error}") from None


def _one_relay(documents: list[object]) -> object:
    """The document that is meant: the only one, or the only OutboxRelay among Secrets and the like."""
    if len(documents) == 1:
        return documents[0]
    relays = [item for item in documents if isinstance(item, dict) and item.get("kind") == names.KIND]
    if len(relays) != 1:
        held = f"{len(relays)} {names.KIND}s" if relays else f"no {names.KIND}"
        raise InvalidInput(f"the file holds {held}; name one that holds exactly one")
    return relays[0]
