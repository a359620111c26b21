"""YAML as text with places: scalars stay strings (`off`, `12:00`, `007` must not surprise), every node knows its line.

The only module that knows YAML.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import yaml

T = TypeVar("T")


@dataclass(slots=True)
class Problems:
    """Collects what is wrong with a file, each with its place; one line each when shown."""

    file: str
    lines: list[tuple[int, str]] = field(default_factory=list)
    is_yaml: bool = True
    """False where the file could not be read as a whole: then nothing can be said of its keys."""

    def add(self, line: int, path: str, message: str) -> None:
        """Note one problem at the given line (from 1) and key."""
        shown = path if path.isprintable() else repr(path)
        self.lines.append((line, f"{self.file}:{line}: {shown + ': ' if path else ''}{message}"))

    def __str__(self) -> str:
        return "\n".join(text for _, text in sorted(self.lines))


class Section:
    """A mapping that is asked for its keys one by one; `close` then names the keys that nobody knew.

    An absent section (`node` None) answers with defaults. A parser that raises ValueError makes a problem of it.
    """

    def __init__(self, node: yaml.Node | None, path: str, line: int, problems: Problems) -> None:
        self.path, self.line, self._problems = path, line, problems
        self._known: list[str] = []
        self._nodes: dict[str, yaml.Node] = {}
        self._is_flow = False
        self._secret: set[str] = set()
        if node is None or _is_empty(node):
            return
        if not isinstance(node, yaml.MappingNode):
            self.problem(f"found {_shown(node)}, but keys with values are expected here", node)
            return
        self._is_flow = bool(node.flow_style)
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem("a key that is a plain word is expected here", key)
                continue
            name = str(key.value)
            if name in self._nodes:
                shown = "" if self._is_flow and _is_empty(value) else name
                problems.add(key.start_mark.line + 1, self._at(shown), "is written twice; keep one of them")
            self._nodes[name] = value

    def __contains__(self, key: str) -> bool:
        return key in self._nodes and not _is_empty(self._nodes[key])

    def is_scalar(self, key: str) -> bool:
        """Whether a single value stands there."""
        return isinstance(self._nodes.get(key), yaml.ScalarNode)

    def value(self, key: str, parse: Callable[[str], T], default: T) -> T:
        """The parsed scalar of a key; the default where the key is absent, empty or wrong (which is noted)."""
        self._known.append(key)
        node = self._nodes.get(key)
        if node is None or _is_empty(node):
            return default
        if not isinstance(node, yaml.ScalarNode):
            self.problem(f"found {_shown(node)}, but a single value is expected", node, key)
            return default
        try:
            return parse(str(node.value))
        except ValueError as error:
            self.problem(f"found {str(node.value)!r}: {error}", node, key)
            return default

    def secret(self, key: str, parse: Callable[[str], T]) -> T | None:
        """As `value`, but what was found never shows in a problem."""
        self._known.append(key)
        self._secret.add(key)
        node = self._nodes.get(key)
        if node is None or _is_empty(node):
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.problem("a single value is expected", node, key)
            return None
        try:
            return parse(str(node.value))
        except ValueError as error:
            self.problem(str(error), node, key)
            return None

    def secrets(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """As `values`, but what was found never shows in a problem."""
        return self._each(key, parse, hidden=True)

    def named_secrets(self, key: str, parse: Callable[[str, str], T]) -> tuple[T, ...]:
        """The parsed pairs of any names and values below a key; what was found never shows in a problem."""
        return self.section(key).pairs(parse)

    def pairs(self, parse: Callable[[str, str], T]) -> tuple[T, ...]:
        """All keys of this section, whatever their names, with their values; as `named_secrets`."""
        found: list[T] = []
        for name, node in self._nodes.items():
            try:
                found.append(parse(name, _scalar(node)))
            except ValueError as error:
                self.problem(str(error), node, "" if self._is_flow and _is_empty(node) else name)
        return tuple(found)

    def password(self, plain: Callable[[str], T], file: Callable[[str], T]) -> T | None:
        """What `password` holds, or `password_file` leads to; both at once are a problem."""
        written, read_from_file = self.secret("password", plain), self.secret("password_file", file)
        if "password" in self and "password_file" in self:
            self.problem("is given as well as password_file; keep one of them", key="password")
        return written or read_from_file

    def values(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """The parsed scalars in a list below a key; those that are wrong are noted and left out."""
        return self._each(key, parse, hidden=False)

    def required(self, key: str, parse: Callable[[str], T], stand_in: T) -> T:
        """A key that has to be there; the stand-in only lets the reading go on."""
        if key not in self:
            self._known.append(key)
            self.problem("is missing", None, key)
            return stand_in
        return self.value(key, parse, stand_in)

    def section(self, key: str) -> "Section":
        """The mapping below a key."""
        self._known.append(key)
        node = self._nodes.get(key)
        return Section(node, self._at(key), self.line_of(key), self._problems)

    def sections(self, key: str) -> "Iterator[Section]":
        """The mappings in a list below a key."""
        self._known.append(key)
        node = self._nodes.get(key)
        if node is None or _is_empty(node):
            return
        if not isinstance(node, yaml.SequenceNode):
            self.problem(f"found {_shown(node)}, but a list (lines that begin with '-') is expected", node, key)
            return
        for index, item in enumerate(node.value):
            yield Section(item, f"{self._at(key)}[{index}]", item.start_mark.line + 1, self._problems)

    def problem(self, message: str, node: yaml.Node | None = None, key: str = "") -> None:
        """Note what is wrong, at a key of this section or at the section itself."""
        line = node.start_mark.line + 1 if node is not None else self.line_of(key)
        self._problems.add(line, self._at(key), message)

    def line_of(self, key: str) -> int:
        """Where a key's value is written; the section's own line where it is not."""
        node = self._nodes.get(key)
        return self.line if node is None else node.start_mark.line + 1

    def close(self) -> None:
        """Note every key that was never asked for, with the nearest known one."""
        hides = False
        for key, node in self._nodes.items():
            # Between braces a comma ends a value: what stands behind a password may be the rest of it.
            hides = self._is_flow and (key in self._secret or (hides and key not in self._known))
            if key not in self._known and (hides or (self._is_flow and _is_empty(node))):
                text = f"is not known: a key, or the rest of a text that needs quotes; known here: {self._list()}"
                self._problems.add(node.start_mark.line + 1, self.path, f"something {text}")
            elif key not in self._known:
                near = get_close_matches(key, self._known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {self._list()}"
                self._problems.add(node.start_mark.line + 1, self._at(key), f"is not a key that is known; {hint}")

    def _list(self) -> str:
        return ", ".join(self._known)

    def _each(self, key: str, parse: Callable[[str], T], *, hidden: bool) -> tuple[T, ...]:
        self._known.append(key)
        if hidden:
            self._secret.add(key)
        node = self._nodes.get(key)
        if node is None or _is_empty(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self.problem(f"found {_shown(node, hidden=hidden)}, but a list like [one, two] is expected", node, key)
            return ()
        found: list[T] = []
        for index, item in enumerate(node.value):
            try:
                found.append(parse(_scalar(item)))
            except ValueError as error:
                said = str(error) if hidden else f"found {_shown(item)}: {error}"
                self.problem(said, item, f"{key}[{index}]")
        return tuple(found)

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path and key else self.path or key


def read(file: Path, problems: Problems) -> Section:
    """The whole file as a section; OSError where it cannot be read. Broken YAML is a problem, with its place."""
    text = ""
    try:
        text = file.read_text(encoding="utf-8")
        return Section(yaml.compose(text, Loader=yaml.SafeLoader), "", 1, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(mark.line + 1 if mark else 1, "", f"is not YAML: {_without_value(error)}")
    except RecursionError:
        problems.add(1, "", "is not YAML that can be read: it is nested too deeply")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.add(line, "", f"is not YAML: the character U+{error.character:04X} is not allowed")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.add(1, "", f"is not YAML: {error}")
    problems.is_yaml = False
    return Section(None, "", 1, problems)


def _without_value(error: yaml.MarkedYAMLError) -> str:
    """What the parser found wrong; a value that it took for an alias or a tag may be a password, so it is not shown."""
    said = str(error.problem or error.context)
    for sign, kind in (("*", "undefined alias"), ("!", "undefined tag handle")):
        if kind in said:
            return f"a value that begins with {sign} has to be put in quotes"
    return said


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or _is_empty(node):
        raise ValueError("a single value is expected")
    return str(node.value)


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in ("", "~", "null")


def _shown(node: yaml.Node, *, hidden: bool = False) -> str:
    if isinstance(node, yaml.ScalarNode):
        return "a single value" if hidden else repr(str(node.value))
    return "a list" if isinstance(node, yaml.SequenceNode) else "keys with values"
