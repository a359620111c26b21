"""Carries out commands and sees to it that each gets exactly one final answer.

A command that takes time is `accepted` first; its final answer comes when the source is seen to have done it, or after
15 s.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from agent.model import Choice, Desired, Outcome, SourceState, SourceStatus
from agent.mqtt.commands import Answer, Command, Refusal, read_command, refused
from agent.mqtt.message import Message

_log = logging.getLogger(__name__)
_CAP_S = 15.0
_SPLIT_AGAIN_S = 1.0
_REMEMBERED_IDS = 512
_TIMER_AGAIN_S = 5.0

Reply = Callable[[Answer], None]


class Controllable(Protocol):
    """What the desk can do to a source (source_control.SourceControl)."""

    def want(self, desired: Desired) -> None:
        """Ask the source to record or to stop."""
        ...

    def split(self) -> None:
        """Ask for a new file."""
        ...


class Timers(Protocol):
    """Remembers which source is to stop by itself (timers.StopTimers)."""

    def set(self, source: str, for_s: float | None) -> None:
        """Stop it after so long; None: never."""
        ...

    def due(self) -> list[str]:
        """The sources that are to stop now."""
        ...


class Protect(Protocol):
    """Protects segments, or gives them free (storage.cleaner.Cleaner.protect)."""

    def __call__(self, choice: Choice, *, on: bool) -> Callable[[], Outcome | None]:
        """Begin; what tells the outcome, None until it is done."""
        ...


@dataclass(slots=True)
class _Pending:
    command: Command
    reply: Reply
    began_s: float
    done: Callable[[], bool]
    sources: tuple[str, ...]


@dataclass(slots=True)
class _Protecting:
    command: Command
    reply: Reply
    began_s: float
    outcome: Callable[[], Outcome | None]


class CommandDesk:
    """Used by one thread. `now_s` is monotonic; `status_of` gives the latest status of a source; `refresh` is what
    that command does."""

    def __init__(
        self,
        sources: Mapping[str, Controllable],
        status_of: Callable[[str], SourceStatus],
        timers: Timers,
        *,
        protect: Protect,
        utc_now: Callable[[], datetime],
        now_s: Callable[[], float],
    ) -> None:
        self._sources = sources
        self._status_of = status_of
        self._timers, self._protect = timers, protect
        self._protecting: list[_Protecting] = []
        self._timers_again_s = float("-inf")
        self.refresh: Callable[[], None] = lambda: None
        self._utc_now = utc_now
        self._now_s = now_s
        self._pending: list[_Pending] = []
        self._splits_s: dict[str, float] = {}
        self._answered: OrderedDict[str, tuple[bytes, Answer | None]] = OrderedDict()
        self._repeated: dict[str, list[Reply]] = {}

    def take(self, message: Message, source: str | None, reply: Reply) -> None:
        """Try what a message asks for; the answers go to `reply`, now or later."""
        try:
            command = read_command(message.payload, source, self._utc_now())
            if source is not None and source not in self._sources:
                raise Refusal("unknown_source", f"there is no source {source[:40]!r}", command.verb, command.id)
        except Refusal as refusal:
            reply(refused(refusal, source))
            return
        if command.id is not None:
            key = f"{source}/{command.id}"
            if key in self._answered:
                self._again(key, message.payload, command, reply)
                return
            self._remember(key, message.payload, None)
            reply = self._remembering(key, message.payload, reply)
        try:
            self._carry_out(command, reply)
        except OSError as error:
            _log.error("command %s failed: %s", command.verb, error)
            reply(self._answer(command, "failed", "disk_full", f"it cannot be remembered: {error.strerror}"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the command gets its answer
            _log.error("command %s failed", command.verb, exc_info=error)
            reply(self._answer(command, "failed", "internal", f"internal fault: {type(error).__name__}"))

    def look(self) -> None:
        """Answer what has come true, and what has taken too long; stop what is to stop by itself."""
        self._stop_by_itself()
        self._look_at_protection()
        still: list[_Pending] = []
        for pending in self._pending:
            waited_s = self._now_s() - pending.began_s
            if pending.done():
                pending.reply(self._answer(pending.command, "done", "done", "done", waited_s))
            elif pending.command.verb.startswith("start") and self._in_error(pending):
                text = self._status_of(pending.sources[0]).last_error or "the source cannot be recorded"
                pending.reply(self._answer(pending.command, "failed", "source_unreachable", text, waited_s))
            elif pending.command.verb.startswith("start") and self._is_full(pending):
                text = "the disk takes nothing; the source records as soon as there is room"
                pending.reply(self._answer(pending.command, "failed", "disk_full", text, waited_s))
            elif waited_s >= _CAP_S:
                pending.reply(self._answer(pending.command, "failed", "timeout", "not within 15 s", waited_s))
            else:
                still.append(pending)
        self._pending = still

    def _carry_out(self, command: Command, reply: Reply) -> None:
        if command.verb == "ping":
            reply(self._answer(command, "done", "done", "pong"))
        elif command.verb == "refresh":
            self.refresh()
            reply(self._answer(command, "done", "done", "everything is said again"))
        elif command.verb == "split":
            self._split(command, reply)
        elif command.choice is not None:
            self._begin_protection(command, command.choice, reply)
        else:
            self._want(command, reply)

    def _want(self, command: Command, reply: Reply) -> None:
        desired = Desired.RECORD if command.verb.startswith("start") else Desired.STOP
        reached = SourceState.RECORDING if desired is Desired.RECORD else SourceState.STOPPED
        sources = tuple(self._sources) if command.source is None else (command.source,)

        # A source that is about to leave the wanted state (a start right behind a stop) has to come to it anew.
        before = [self._status_of(source) for source in sources]
        leaving = {one.id: one.since for one in before if one.state is reached and one.desired is not desired}

        def done() -> bool:
            now = [self._status_of(source) for source in sources]
            return all(status.state is reached and status.since != leaving.get(status.id) for status in now)

        already = done() and all(self._status_of(source).desired is desired for source in sources)
        for source in sources:
            # A start that is to end does not begin before that is remembered; a stop needs no remembering to be done.
            if desired is Desired.RECORD:
                self._timers.set(source, command.for_s)
            self._sources[source].want(desired)
            if desired is Desired.STOP:
                self._timers.set(source, None)
        if already:
            reply(self._answer(command, "done", "already", f"already {reached}", 0.0))
        else:
            self._wait(command, reply, done, sources)

    def _stop_by_itself(self) -> None:
        if self._now_s() < self._timers_again_s:
            return
        for source in self._timers.due():
            try:
                if source in self._sources:
                    self._sources[source].want(Desired.STOP)
                self._timers.set(source, None)
            except OSError as error:
                _log.error("%s is to stop by now, and that cannot be remembered: %s", source, error)
                self._timers_again_s = self._now_s() + _TIMER_AGAIN_S

    def _split(self, command: Command, reply: Reply) -> None:
        assert command.source is not None
        source, status = command.source, self._status_of(command.source)
        opened = status.open_segment
        if status.state is not SourceState.RECORDING or opened is None:
            reply(
                self._answer(command, "failed", "source_unreachable", f"nothing is open: the source is {status.state}")
            )
            return
        if self._now_s() - self._splits_s.get(source, -_SPLIT_AGAIN_S) < _SPLIT_AGAIN_S:
            reply(self._answer(command, "done", "already", "split less than a second ago", 0.0))
            return
        self._splits_s[source] = self._now_s()

        def done() -> bool:
            now_open = self._status_of(source).open_segment
            return now_open is not None and now_open.file != opened.file

        self._sources[source].split()
        self._wait(command, reply, done, (source,))

    def _wait(self, command: Command, reply: Reply, done: Callable[[], bool], sources: tuple[str, ...]) -> None:
        reply(self._answer(command, "accepted", "accepted", "under way"))
        self._pending.append(_Pending(command, reply, self._now_s(), done, sources))

    def _begin_protection(self, command: Command, choice: Choice, reply: Reply) -> None:
        if choice.source is not None and choice.source not in self._sources:
            text = f"there is no source {choice.source[:40]!r}"
            reply(self._answer(command, "failed", "unknown_source", text))
            return
        outcome = self._protect(choice, on=command.verb == "protect")
        reply(self._answer(command, "accepted", "accepted", "under way"))
        self._protecting.append(_Protecting(command, reply, self._now_s(), outcome))

    def _look_at_protection(self) -> None:
        still: list[_Protecting] = []
        for one in self._protecting:
            outcome, took_s = one.outcome(), self._now_s() - one.began_s
            if outcome is not None:
                one.reply(self._answer(one.command, *_told(outcome, one.command.verb), took_s))
            elif took_s >= _CAP_S:
                one.reply(self._answer(one.command, "failed", "timeout", "not within 15 s; it goes on", took_s))
            else:
                still.append(one)
        self._protecting = still

    def _is_full(self, pending: _Pending) -> bool:
        return len(pending.sources) == 1 and self._status_of(pending.sources[0]).state is SourceState.DISK_FULL

    def _in_error(self, pending: _Pending) -> bool:
        states = [self._status_of(source).state for source in pending.sources]
        return len(states) == 1 and states[0] is SourceState.ERROR

    def _answer(self, command: Command, phase: str, code: str, text: str, took_s: float | None = None) -> Answer:
        state = None if command.source is None else str(self._status_of(command.source).state)
        took_ms = None if took_s is None else round(took_s * 1000)
        return Answer(phase, code, text, command.verb, command.source, command.id, state, took_ms)

    def _again(self, key: str, payload: bytes, command: Command, reply: Reply) -> None:
        known_payload, known_answer = self._answered[key]
        if known_payload != payload:
            reply(self._answer(command, "failed", "duplicate", "this id was used for another command"))
        elif known_answer is None:
            reply(replace(self._answer(command, "accepted", "accepted", "still under way"), dup=True))
            self._repeated.setdefault(key, []).append(reply)
        else:
            reply(replace(known_answer, dup=True))

    def _remembering(self, key: str, payload: bytes, reply: Reply) -> Reply:
        def remember(answer: Answer) -> None:
            if answer.final:
                self._remember(key, payload, answer)
            reply(answer)
            if answer.final:
                for repeated in self._repeated.pop(key, []):
                    repeated(replace(answer, dup=True))

        return remember

    def _remember(self, key: str, payload: bytes, answer: Answer | None) -> None:
        self._answered[key] = (payload, answer)
        while len(self._answered) > _REMEMBERED_IDS:
            self._answered.popitem(last=False)


def _told(outcome: Outcome, verb: str) -> tuple[str, str, str]:
    """Phase, code and text of what became of a protection."""
    done = f"{outcome.changed} of {outcome.found} segments are now {verb}ed"
    if outcome.error is not None:
        return "failed", outcome.code, f"{outcome.error}; {done}"
    if not outcome.found:
        return "failed", "bad_args", "there is no finished segment in that time"
    return ("done", "done", done) if outcome.changed else ("done", "already", f"already {verb}ed")
