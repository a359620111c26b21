"""The command line: arguments, exit codes."""

import argparse
import logging
import socket
import sys

from agent import __version__
from agent.config import find_config, load
from agent.errors import ConfigError, IsrError
from archive_api.app import build
from archive_api.archive import Archive
from archive_api.server import listen, serve, set_up_logging

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
    serving.set_defaults(command=_serve)
    return parser


def _serve(options: argparse.Namespace) -> int:
    settings = load(find_config(options.config))
    archive = Archive.of(settings)
    sockets = listen(settings.archive.host, settings.archive.port)
    host = f"[{settings.archive.host}]" if ":" in settings.archive.host else settings.archive.host
    log = logging.getLogger("archive_api")
    log.info("isr-archive %s serves http://%s:%d/", __version__, host, settings.archive.port)
    serve(build(archive, socket.gethostname()), sockets, archive.stopping)
    log.info("stopped")
    return _OK


if __name__ == "__main__":
    sys.exit(main())
