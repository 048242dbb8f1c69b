"""Reads the YAML files that users edit, so that a mistake is told with file and line.

Every scalar is read as text (``no`` stays "no", 0.50 stays "0.50"); the pydantic model given decides what it becomes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from voice_agent.errors import ConfigError

if TYPE_CHECKING:
    import yaml

Lines = dict[tuple[Hashable, ...], int]


class Entry(BaseModel):
    """Base of what a data file may hold: unknown keys are mistakes, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """What is wrong between one part of a file and another: (place, message) pairs. Asked of the whole file."""
        yield from ()


M = TypeVar("M", bound=Entry)


def shipped(name: str) -> str:
    """The text of a data file that comes with the program."""
    return resources.files("voice_agent").joinpath("data", name).read_text("utf-8")


def load_data_file(model: type[M], path: Path | None, shipped_name: str) -> M:
    """The file at ``path``, or the shipped one if ``path`` is ``None``. Raises ``ConfigError`` naming file and line."""
    if path is None:
        return parse_data(model, shipped(shipped_name), shipped_name)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_data(model, text, str(path))


def parse_data(model: type[M], text: str, name: str) -> M:
    """``text`` as a ``model``; ``name`` stands for the file in messages. Raises ``ConfigError``."""
    import yaml

    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        lines: Lines = {}
        data = _plain(root, (), lines, name) if root is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:  # a character that YAML does not allow
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {getattr(error, 'reason', error)}") from None
    except RecursionError:
        raise ConfigError(f"{name}:1: it is nested too deeply, or holds itself") from None
    try:
        parsed = model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = tuple(part for part in first["loc"] if isinstance(part, str | int))
        raise _mistake(name, lines, place, str(first["msg"]).removeprefix("Value error, ")) from None
    for place, message in parsed.problems():
        raise _mistake(name, lines, place, message)
    return parsed


def _mistake(name: str, lines: Lines, place: tuple[str | int, ...], message: str) -> ConfigError:
    where = ".".join(str(part) for part in place) or "file"
    return ConfigError(f"{name}:{_line(lines, place)}: {where}: {message}")


def _plain(node: yaml.Node, place: tuple[Hashable, ...], lines: Lines, name: str) -> Any:
    """Dictionaries, lists and strings; notes each place's line."""
    import yaml

    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}:{key.start_mark.line + 1}: a key must be plain text")
            if key.value in result:
                raise ConfigError(f"{name}:{key.start_mark.line + 1}: {key.value!r} stands here twice")
            lines[(*place, key.value)] = key.start_mark.line + 1
            result[key.value] = _plain(value, (*place, key.value), lines, name)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*place, index), lines, name) for index, item in enumerate(node.value)]
    return node.value


def _line(lines: Lines, place: tuple[Hashable, ...]) -> int:
    """The line of ``place`` or of the nearest known place around it."""
    for end in range(len(place), -1, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return 1
