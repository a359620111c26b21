"""The command line: arguments, signals, exit codes."""

import argparse
import gc
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from importlib import resources
from types import FrameType

from agent import __version__
from agent.app import App
from agent.clock import monotonic_s
from agent.config import Settings, find_config, load
from agent.config.show import effective
from agent.errors import ConfigError, IsrError
from agent.logs import set_up
from agent.repair import command as repairing
from agent.sources.access import obstacle
from agent.sources.devices import list_devices, table
from agent.sources.sysfs import SoundTree
from agent.verify import command as verifying

_OK, _FAILED, _CONFIGURATION = 0, 1, 2
_SAME_WISH_S = 1.0
"""A terminal, a shell and timeout(1) may each pass one wish to stop on; a later signal means: leave at once."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    options = _parser().parse_args(arguments)
    set_up(options.log_format)
    try:
        return int(options.command(options))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return _CONFIGURATION
    except (IsrError, OSError) as error:
        print(f"isr-agent: {error}", file=sys.stderr)
        return _FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isr-agent", description="Records sound cards and streams at the wall clock.")
    parser.add_argument("--version", action="version", version=f"isr-agent {__version__}")
    parser.add_argument("--log-format", choices=("text", "json"), default="text", help="how to write log lines")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="record until told to stop")
    run.set_defaults(command=_run)
    check = commands.add_parser("check-config", help="check the configuration and show the effective settings")
    check.set_defaults(command=_check)
    verify = commands.add_parser("verify", help="check recordings against what is known of them")
    verifying.add_arguments(verify)
    verify.set_defaults(command=lambda options: verifying.verify(options, lambda: _settings(options)))
    repair = commands.add_parser("repair", help="finish what a crash left, make anew what is lost beside audio")
    repairing.add_arguments(repair)
    repair.set_defaults(command=repairing.repair)
    for command in (run, check, verify):
        command.add_argument(
            "--config", metavar="FILE", help="default: $ISR_CONFIG, ./config.yaml, /etc/isr/config.yaml"
        )
    devices = commands.add_parser("list-devices", help="show the sound cards that can be recorded")
    devices.add_argument("--json", action="store_true", help="for programs")
    devices.set_defaults(command=_devices)
    schema = commands.add_parser("schema", help="print the JSON Schema of a file or message")
    schema.add_argument("name", choices=_schemas(), metavar="NAME", help=", ".join(_schemas()))
    schema.set_defaults(command=_schema)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    return load(find_config(options.config))


def _run(options: argparse.Namespace) -> int:
    app = App(_settings(options))
    gc.freeze()  # what there is now stays for good: no need to look through all of it for garbage again and again
    # A pipe that the C part of the handler writes to: whichever thread the signal hits, and whenever, main wakes up.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    asked_at_s: list[float] = []

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        asked_at_s.append(monotonic_s())
        if asked_at_s[-1] - asked_at_s[0] > _SAME_WISH_S:
            os._exit(_FAILED)  # salvage at the next start makes that safe

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    log = logging.getLogger("agent")
    log.info("isr-agent %s starts", __version__)
    app.start()
    os.read(reader, 1)
    log.info("stopping")
    app.stop()
    log.info("stopped")
    # Nothing is left to do. The interpreter would wait for a disk that hangs, and the folders are free already.
    logging.shutdown()
    os._exit(_OK)


def _check(options: argparse.Namespace) -> int:
    print(effective(_settings(options)), end="")
    return _OK


def _devices(options: argparse.Namespace) -> int:
    devices = list_devices()
    if options.json:
        print(json.dumps([asdict(device) for device in devices], indent=1))
        return _OK
    if not devices:
        wall = obstacle(SoundTree())
        print("No sound card can be recorded." if wall else "No sound card was found.", file=sys.stderr)
        print(f"{wall.message}: {wall.hint}" if wall else "Is it plugged in?", file=sys.stderr)
        return _OK
    print(table(devices))
    return _OK


def _schema(options: argparse.Namespace) -> int:
    print(resources.files("agent.schemas").joinpath(f"{options.name}.json").read_text(encoding="utf-8"), end="")
    return _OK


def _schemas() -> list[str]:
    folder = resources.files("agent.schemas")
    return sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))


if __name__ == "__main__":
    sys.exit(main())
