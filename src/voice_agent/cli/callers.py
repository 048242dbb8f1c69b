"""``voice-agent callers``: who may prove their identity, with which PIN and which second factor.

A PIN or a secret is typed at a prompt, or comes on standard input for scripts; it is never an argument, which other users
of the machine and the shell's history could read. Only the demo people's are shown.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from voice_agent.errors import ConfigError

if TYPE_CHECKING:  # what a command needs is imported when it runs, so that --help is instant
    from voice_agent.store.caller_admin import CallerAdmin

T = TypeVar("T")

callers_app = typer.Typer(no_args_is_help=True, help="Who may prove their identity by PIN.")
_CallerId = Annotated[str, typer.Argument(metavar="CALLER", help="A telephone number, or another caller id.")]


@callers_app.command("list")
def list_callers() -> None:
    """List all callers, their second factor, failed tries and locks; never PINs or secrets."""
    table = Table("caller", "name", "locale", "second factor", "failed tries", "locked for")
    for row in _with_admin(lambda admin: admin.all()):
        locked = f"{row.locked_s / 60:.0f} min" if row.locked_s else ""
        factor = "totp" if row.has_totp else ""
        table.add_row(row.caller_id, row.name, row.locale, factor, str(row.failures or ""), locked)
    Console().print(table)


@callers_app.command()
def demo() -> None:
    """List the demo people with their PINs, which protect nothing. They are the demo shop's customers."""
    from voice_agent.store.demo import demo_callers

    table = Table("caller", "name", "locale", "lives in", "PIN")
    for person in demo_callers():
        table.add_row(person.caller_id, person.name, person.locale, person.country, person.pin)
    Console().print(table)


@callers_app.command()
def add(
    caller: _CallerId,
    name: Annotated[str, typer.Option(help="The full name.")],
    locale: Annotated[str, typer.Option(help="Language and region.")] = "en-US",
) -> None:
    """Add a caller; asks for the PIN."""
    pin = _new_pin()
    key = _with_admin(lambda admin: admin.add(caller, name, locale, pin))
    typer.echo(f"added {key}")


@callers_app.command("set-pin")
def set_pin(caller: _CallerId) -> None:
    """Give a caller a new PIN; asks for it. A lock is taken off."""
    pin = _new_pin()
    key = _with_admin(lambda admin: admin.set_pin(caller, pin))
    typer.echo(f"{key} has a new PIN")


@callers_app.command("set-totp")
def set_totp(
    caller: _CallerId,
    issuer: Annotated[str, typer.Option(help="What the app shows beside the caller id.")] = "Voice agent",
    existing: Annotated[
        bool, typer.Option("--existing", help="Ask for a secret that the caller's app has already (base32).")
    ] = False,
) -> None:
    """Give a caller a secret for time-based codes; prints it once, as the otpauth:// URI that an app reads."""
    from voice_agent.config import load_settings
    from voice_agent.tools.totp import new_secret, provisioning_uri, secret_from

    identity = load_settings().identity
    secret = secret_from(_typed("TOTP secret (base32)", twice=False)) if existing else new_secret()
    key = _with_admin(lambda admin: admin.set_totp(caller, secret, identity))
    if existing:
        typer.echo(f"{key} has a new TOTP secret")
    else:
        typer.echo(provisioning_uri(secret, account=key, issuer=issuer))
        typer.echo(f"{key} has a new TOTP secret, which is not shown again: put it into the caller's app now", err=True)


@callers_app.command("remove-totp")
def remove_totp(caller: _CallerId) -> None:
    """Take the secret for time-based codes away: the PIN alone proves this caller again, unless more is required."""
    key = _with_admin(lambda admin: admin.remove_totp(caller))
    typer.echo(f"{key} has no TOTP secret any more")


@callers_app.command()
def unlock(caller: _CallerId) -> None:
    """Take off the lock after wrong PINs."""
    key = _with_admin(lambda admin: admin.unlock(caller))
    typer.echo(f"{key} may try again")


@callers_app.command()
def remove(caller: _CallerId) -> None:
    """Remove a caller: the PIN no longer proves anything."""
    key = _with_admin(lambda admin: admin.remove(caller))
    typer.echo(f"removed {key}")


def _new_pin() -> str:
    """A PIN typed twice, unseen; the first line of standard input where that is no terminal. Raises ``ConfigError``."""
    from voice_agent.config import load_settings
    from voice_agent.store.caller_admin import weakness

    digits = load_settings().identity.pin_digits
    pin = _typed(f"New PIN ({digits} digits)", twice=True)
    if problem := weakness(pin, digits):
        raise ConfigError(f"this PIN is not taken: {problem}")
    return pin


def _typed(prompt: str, *, twice: bool) -> str:
    """What is typed, unseen; the first line of standard input where that is no terminal."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, confirmation_prompt=twice))
    return sys.stdin.readline().strip()


def _with_admin(work: Callable[[CallerAdmin], Awaitable[T]]) -> T:
    from voice_agent.app.stores import open_caller_admin
    from voice_agent.config import load_settings

    async def run() -> T:
        async with open_caller_admin(load_settings()) as admin:
            return await work(admin)

    return asyncio.run(run())
