"""The command line: arguments, exit codes."""

import argparse
import logging
import socket
import sys
from dataclasses import replace
from pathlib import Path

from agent import __version__, clock
from agent.config import Secret, Settings, find_config, load, on_the_network
from agent.config.values import secret_file
from agent.errors import ConfigError, IsrError
from agent.progress import Progress
from archive_api.app import build
from archive_api.archive import Archive
from archive_api.index.rebuild import rebuild
from archive_api.server import EndSignals, listen, serve, set_up_logging

_OK, _FAILED, _CONFIGURATION = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    set_up_logging()
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _CONFIGURATION
    except IsrError as error:
        print(f"isr-archive: {error}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isr-archive", description="Shows, plays and hands out what was recorded.")
    parser.add_argument("--version", action="version", version=f"isr-archive {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serving = commands.add_parser("serve", help="serve the page and the HTTP interface until told to stop")
    serving.add_argument("--config", metavar="FILE", help="default: $ISR_CONFIG, ./config.yaml, /etc/isr/config.yaml")
    serving.add_argument("--lan", action="store_true", help="serve to the whole network, and ask for a password")
    serving.add_argument(
        "--password-file", metavar="FILE", help="with --lan: the password of the user isr, unless auth is basic already"
    )
    serving.set_defaults(command=_serve)
    indexing = commands.add_parser("reindex", help="build the index anew; a server that runs goes on meanwhile")
    indexing.add_argument("--config", metavar="FILE", help="as for serve")
    indexing.set_defaults(command=_reindex)
    return parser


def _serve(options: argparse.Namespace) -> int:
    settings = _settings(options)
    archive, signals = Archive.of(settings), EndSignals()
    sockets = listen(settings.archive.host, settings.archive.port)
    host = f"[{settings.archive.host}]" if ":" in settings.archive.host else settings.archive.host
    log = logging.getLogger("archive_api")
    log.info("isr-archive %s serves http://%s:%d/", __version__, host, settings.archive.port)
    archive.index.start()
    try:
        serve(build(archive, settings.archive, socket.gethostname()), sockets, archive.stopping, signals)
    finally:
        archive.index.stop()
    log.info("stopped")
    return _OK


def _settings(options: argparse.Namespace) -> Settings:
    settings = load(find_config(options.config))
    if not options.lan:
        return settings
    return replace(settings, archive=on_the_network(settings.archive, lambda: _password(options.password_file)))


def _password(file: str | None) -> Secret:
    if file is None:
        raise ConfigError(
            "--lan needs a password, and the configuration has none",
            hint="name its file with --password-file, or set archive.auth: basic with username and password_file",
        )
    try:
        return secret_file(Path())(file)
    except ValueError as error:
        raise ConfigError(f"--password-file: {error}") from error


def _reindex(options: argparse.Namespace) -> int:
    archive = Archive.of(load(find_config(options.config)))
    progress = Progress(sys.stderr, sys.stderr.isatty(), clock.monotonic_s, unit="files")
    try:
        count = rebuild(archive.index, progress)
    finally:
        progress.end()
    print(f"{count} recordings are in the index.")
    return _OK


if __name__ == "__main__":
    sys.exit(main())
