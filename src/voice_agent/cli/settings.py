"""``voice-agent config``: the effective settings as a table, and the defaults as ``.env.example``."""

from __future__ import annotations

from dataclasses import fields

import typer
from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from voice_agent.config import Settings, describe, load_settings


def print_settings() -> None:
    """Raises ``ConfigError`` for a bad setting."""
    table = Table("setting", "value", "meaning", title="Effective settings", title_justify="left")
    for variable, value, meaning in describe(load_settings()):
        table.add_row(variable, value, meaning)
    Console(markup=False, highlight=False).print(table)


def print_example() -> None:
    typer.echo(example_env(), nl=False)


def example_env() -> str:
    """Every setting with its default, in groups, commented out: the text of ``.env.example``.

    Written by ``voice-agent config --example > .env.example``; a test keeps the two the same.
    """
    lines = [
        "# Every setting and its default. Copy this file to .env and uncomment what you change; real environment",
        "# variables win over .env. A bad value stops the start with one line that names the variable.",
    ]
    settings = load_settings(None)
    for group_field in fields(Settings):
        group = type(getattr(settings, group_field.name))
        lines += ["", f"# {(group.__doc__ or group_field.name).strip().splitlines()[0]}"]
        for info in group.model_fields.values():
            if info.description:
                lines.append(f"# {info.alias}: {info.description}")
            lines.append(f"#{info.alias}={_shown(info.default)}")
    return "\n".join(lines) + "\n"


def _shown(default: object) -> str:
    if default is None or default is PydanticUndefined:
        return ""
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return ",".join(default) if isinstance(default, tuple) else str(default)
