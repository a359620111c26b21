"""One hierarchy of errors; each says what is wrong and, where there is something to do, what to do."""

from agent.model import GapCause


class IsrError(Exception):
    """What an operator may get to see: a message, and a hint that says what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(IsrError):
    """The configuration cannot be used; the message holds every problem, one a line."""


class LockedError(IsrError):
    """Another agent records into the same folder."""


class StorageError(IsrError):
    """A file could not be written; what was safe on disk stays as it is."""


class CodecError(IsrError):
    """Bytes are not what they were said to be."""


class SourceFault(IsrError):  # noqa: N818 - a fault of a source is the field's word
    """A source cannot deliver audio, or not any more.

    `permanent` marks what time alone will not mend (a wrong device name, a page instead of audio): the source is
    tried again all the same, but its state is `error` rather than `reconnecting`. `retry_within_s` caps the pause
    before the next try where trying is cheap and somebody waits for it.
    """

    def __init__(
        self,
        cause: GapCause,
        message: str,
        *,
        hint: str | None = None,
        permanent: bool = False,
        retry_within_s: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause
        self.permanent = permanent
        self.retry_within_s = retry_within_s
