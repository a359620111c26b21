"""Commands: what a message asks for, and how it is answered. Pure.

A plain word (`start`) or JSON (`{"v":1,"id":"7f3a","cmd":"start"}`) on the same topic; every one gets exactly one final
answer, with a code out of a closed list.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.archive_format.times import parse, rfc3339
from agent.model import Choice
from agent.mqtt.payloads import COMMAND_BYTES_MAX, Json

SOURCE_VERBS = ("start", "stop", "split")
AGENT_VERBS = ("start-all", "stop-all", "refresh", "ping", "protect", "unprotect")
CHOOSING_VERBS = ("protect", "unprotect")
_ALIASES = {"on": "start", "off": "stop"}
PER_SECOND_MAX = 50
FOR_S_MAX = 31 * 86400
_JSON_KEYS = {"v", "id", "cmd", "args", "expires"}

HINTS = {
    "bad_json": "send a word like start, or a JSON object with cmd",
    "too_big": f"at most {COMMAND_BYTES_MAX} bytes",
    "unknown_cmd": f"a source knows {', '.join(SOURCE_VERBS)}; the agent {', '.join(AGENT_VERBS)}",
    "unknown_source": "the ids of the sources are in the agent's info topic",
    "bad_args": f'start takes {{"for_s": seconds}}, more than 0 and up to {FOR_S_MAX}; protect and unprotect take '
    '{"segments": [ids]} or {"source": id, "from": time, "to": time}; the others take nothing',
    "not_allowed": "the configuration of the agent forbids it",
    "expired": "send it again if it is still meant",
    "retained": "send it without the retain flag",
    "duplicate": "give every new command its own id",
    "busy": f"at most {PER_SECOND_MAX} commands a second are carried out; try again later",
    "bad_reply_topic": "use reply/<your name>/<agent>, or a topic below the agent's resp/",
    "source_unreachable": "the state topic and last_error say what the source is doing",
    "timeout": "the state topic and last_error say what the source is doing",
    "internal": "the agent's log says more",
    "disk_full": "make room on the disk",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be tried. `source` is None for one to the agent; a start with `for_s` ends by itself, `choice`
    tells which segments are to be protected."""

    verb: str
    source: str | None
    id: str | None = None
    for_s: float | None = None
    choice: Choice | None = None


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the program
    """Why a message is no command that can be tried."""

    def __init__(self, code: str, text: str, verb: str | None = None, identifier: str | None = None) -> None:
        super().__init__(text)
        self.code, self.text, self.verb, self.id = code, text, verb, identifier


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `phase` is `accepted`, `done` or `failed`."""

    phase: str
    code: str
    text: str
    command: str | None
    source: str | None
    id: str | None = None
    state: str | None = None
    took_ms: int | None = None
    dup: bool = False

    @property
    def final(self) -> bool:
        """Whether no other answer follows."""
        return self.phase != "accepted"


def answer_json(answer: Answer, at: datetime) -> Json:
    """The body of an answer."""
    return {
        "v": 1,
        "ts": rfc3339(at),
        "id": answer.id,
        "phase": answer.phase,
        "ok": answer.phase != "failed",
        "code": answer.code,
        "text": answer.text,
        "hint": HINTS.get(answer.code) if answer.phase == "failed" else None,
        "cmd": answer.command,
        "source": answer.source,
        "state": answer.state,
        "took_ms": answer.took_ms,
        "dup": answer.dup,
    }


def refused(refusal: Refusal, source: str | None) -> Answer:
    """The answer to a message that is no command."""
    return Answer("failed", refusal.code, refusal.text, refusal.verb, source, refusal.id)


def read_command(payload: bytes, source: str | None, now: datetime) -> Command:
    """The command in a payload. Raises Refusal; its answer says what is wrong."""
    if len(payload) > COMMAND_BYTES_MAX:
        raise Refusal("too_big", f"{len(payload)} bytes are too many")
    text = payload.decode(errors="replace").strip()
    if text.startswith("{"):
        return _read_json(text, source, now)
    verb = _verb(text, source, None)
    if verb in CHOOSING_VERBS:
        raise Refusal("bad_args", f"{verb} has to say which segments", verb)
    return Command(verb, source)


def _read_json(text: str, source: str | None, now: datetime) -> Command:
    try:
        body: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal("bad_json", "this is not JSON") from error
    identifier = body.get("id")
    if identifier is not None and not (
        isinstance(identifier, str) and 0 < len(identifier) <= 64 and identifier.isprintable()
    ):
        raise Refusal("bad_json", "id is to be a text of 1 to 64 printable characters")
    unknown = sorted(set(body) - _JSON_KEYS)
    if unknown:
        raise Refusal("bad_json", f"{unknown[0]!r} is no key of a command", None, identifier)
    if body.get("v", 1) != 1:
        raise Refusal("bad_json", "only version 1 is understood", None, identifier)
    if not isinstance(body.get("cmd"), str):
        raise Refusal("bad_json", "cmd is missing", None, identifier)
    verb = _verb(body["cmd"], source, identifier)
    args = body.get("args")
    choice = choice_of(args, verb, identifier) if verb in CHOOSING_VERBS else None
    for_s = None if choice is not None else _for_s(args, verb, source, identifier)
    _check_expiry(body.get("expires"), now, verb, identifier)
    return Command(verb, source, identifier, for_s, choice)


def choice_of(args: object, verb: str, identifier: str | None) -> Choice:
    """The segments that the arguments name."""
    keys = set(args) if isinstance(args, dict) else set()
    if isinstance(args, dict) and keys == {"segments"}:
        ids = args["segments"]
        if isinstance(ids, list) and ids and all(isinstance(one, str) and 0 < len(one) <= 64 for one in ids):
            return Choice(ids=tuple(dict.fromkeys(ids)))
        raise Refusal("bad_args", "segments is to be a list of ids", verb, identifier)
    if not isinstance(args, dict) or keys != {"source", "from", "to"}:
        raise Refusal("bad_args", f"{verb} has to say which segments", verb, identifier)
    try:
        start, end = parse(str(args["from"])), parse(str(args["to"]))
    except ValueError as error:
        raise Refusal("bad_args", f"a time with its offset is expected: {error}"[:200], verb, identifier) from error
    if start >= end:
        raise Refusal("bad_args", "from is to be before to", verb, identifier)
    return Choice(source=str(args["source"]), start=start, end=end)


def _for_s(args: object, verb: str, source: str | None, identifier: str | None) -> float | None:
    if args in (None, {}):
        return None
    if source is None or verb != "start":
        raise Refusal("bad_args", f"{verb} takes no arguments", verb, identifier)
    if not isinstance(args, dict) or set(args) != {"for_s"}:
        raise Refusal("bad_args", "the only argument of start is for_s", verb, identifier)
    for_s = args["for_s"]
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 < for_s <= FOR_S_MAX:
        raise Refusal("bad_args", f"for_s is {str(for_s)[:40]}", verb, identifier)
    return float(for_s)


def _check_expiry(expires: object, now: datetime, verb: str, identifier: str | None) -> None:
    if expires is None:
        return
    try:
        until = parse(str(expires))
    except ValueError as error:
        raise Refusal("bad_json", "expires is to be a time like 2026-11-22T12:00:30Z", verb, identifier) from error
    if until < now:
        raise Refusal("expired", f"it was meant until {rfc3339(until)}", verb, identifier)


def _verb(text: str, source: str | None, identifier: str | None) -> str:
    word = text.strip().lower()
    word = _ALIASES.get(word, word) if source is not None else word
    if word not in (SOURCE_VERBS if source is not None else AGENT_VERBS):
        raise Refusal("unknown_cmd", f"{text[:40]!r} is no command here", None, identifier)
    return word


def reply_topic(wanted: str, *, root: str, agent: str) -> str | None:
    """Where an MQTT 5 request may have its answer: below `<root>/resp/`, or `reply/<anyone>/<agent>`; else None.

    The topic is the requester's choice, so it must not make the agent command anybody.
    """
    parts = wanted.split("/")
    ours = wanted.startswith(f"{root}/resp/") or (len(parts) == 3 and parts[0] == "reply" and parts[2] == agent)
    safe = wanted.isprintable() and not set(wanted) & set("+#$") and len(wanted.encode()) <= 200
    return wanted if ours and safe and all(parts) and parts[-1] != "cmd" else None
