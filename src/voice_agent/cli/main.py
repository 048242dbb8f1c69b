"""The ``voice-agent`` command line: what exists and how it is asked for. The work stands beside, one file a command.

Commands import what they need when they run, so that ``voice-agent --help`` is instant. Errors of ours become one line
on stderr and exit code 2, never a traceback; exit code 1 says that a command ran and found something wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from voice_agent.cli.agents import agents_app
from voice_agent.cli.bench import bench_app
from voice_agent.cli.callers import callers_app
from voice_agent.cli.kb import kb_app
from voice_agent.clock import process_seconds
from voice_agent.errors import VoiceAgentError

_BEGUN_S = process_seconds()

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Answers calls: listens, thinks, uses tools and speaks, in real time.",
)
app.add_typer(agents_app, name="agent", help="Who takes calls: list, check and show agent files.")
app.add_typer(bench_app, name="bench", help="Measure how well this installation behaves.")
app.add_typer(
    callers_app, name="callers", help="Who may prove their identity: list, demo, add, set-pin, unlock, remove."
)
app.add_typer(kb_app, name="kb", help="The knowledge base: add documents, search, list.")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind. Default: HOST, or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. Default: PORT, or 8000.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port. Default: WORKERS, or 1.")] = None,
) -> None:
    """Start the server and take calls until interrupted."""
    from voice_agent.cli.launch import run_server

    run_server(host=host, port=port, workers=workers, begun_s=_BEGUN_S)


@app.command()
def call(
    wav: Annotated[list[Path] | None, typer.Option(help="A WAV file to say; repeatable.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Say every WAV file of a folder, by name.")] = None,
    say: Annotated[list[str] | None, typer.Option(help="Text to synthesise and say; repeatable.")] = None,
    caller_id: Annotated[str, typer.Option(help="Who calls. The demo shop knows +15550100 (PIN 4271).")] = "+15550100",
    locale: Annotated[str, typer.Option(help="Language and region.")] = "en-US",
    agent: Annotated[str, typer.Option(help="Which agent to call; default: the server's.")] = "",
    called: Annotated[str, typer.Option(help="The number that is dialled, which may choose the agent.")] = "",
    url: Annotated[str, typer.Option(help="The running server.")] = "",
    local: Annotated[bool, typer.Option("--local", help="Start a server in this process for the call.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write what the agent said to this WAV file.")] = None,
) -> None:
    """Place a call: speak in turns, print the dialogue and the latencies as they happen.

    Says the WAV files first, then the folder's, then the texts. Exit code 1 if a turn got no answer.
    """
    from voice_agent.cli.call import CallPlan, run_call

    plan = CallPlan(tuple(wav or ()), folder, tuple(say or ()), caller_id, locale, agent, called, url, local, save)
    raise typer.Exit(run_call(plan))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="An event log (STATE_DIR/events/….jsonl).", exists=True, dir_okay=False)],
) -> None:
    """Run a recorded call through the machine again: the same version must decide the same, byte for byte."""
    from voice_agent.cli.replay import run_replay

    raise typer.Exit(run_replay(file))


@app.command()
def check() -> None:
    """Try every provider; check models, database, knowledge base, order system, port and disk. Exit code 1 if any fails."""
    from voice_agent.cli.check import run_check

    raise typer.Exit(run_check())


@app.command("dev-vendors")
def dev_vendors(
    port: Annotated[
        int, typer.Option(min=0, max=65_532, help="First of four ports on 127.0.0.1; 0: free ones.")
    ] = 9100,
    key: Annotated[str, typer.Option(help="The API key they accept.")] = "dev-vendors-key",
    fault: Annotated[
        list[str] | None, typer.Option(help="Fail from the start: STAGE=FAULT, as llm=hang_midstream; repeatable.")
    ] = None,
    first_ms: Annotated[
        list[str] | None, typer.Option(help="Time to the first result: 200, or one stage's: llm=200; repeatable.")
    ] = None,
    gap_ms: Annotated[list[str] | None, typer.Option(help="Time between pieces, likewise; repeatable.")] = None,
    script: Annotated[
        str | None, typer.Option(help="Load no models: the language model says this, speech is a tone.")
    ] = None,
) -> None:
    """Try the hosted configuration without keys: local servers that speak the vendors' protocols.

    Prints the settings to paste, then what is asked of them. Stages are asr, llm and tts; faults are hang_connect,
    hang_midstream, slow_drip, half_frame, reset, refused, tls, unauthorized, rate_limited, quota, server_error,
    garbage_json, empty and recycled.
    """
    from voice_agent.cli.dev_vendors import VendorPlan, run_dev_vendors

    run_dev_vendors(VendorPlan(port, key, tuple(fault or ()), tuple(first_ms or ()), tuple(gap_ms or ()), script))


@app.command("demo-backend")
def demo_backend(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 9200,
    host: Annotated[str, typer.Option(help="Address to bind; beyond this machine set SHOP_API_TOKEN.")] = "127.0.0.1",
    faults: Annotated[bool, typer.Option("--faults", help="Allow faults to be switched at /dev/faults.")] = False,
    fault: Annotated[
        list[str] | None, typer.Option(help="Fail from the start: ENDPOINT=FAULT, as cancel_order=hang; repeatable.")
    ] = None,
) -> None:
    """Start the demo shop's order system by hand: orders, returns and callbacks of 230 callers, over HTTP.

    A server with demo data starts one for itself; this one can be made to fail. Prints the settings to paste where
    voice-agent serves, then what is asked. Its data lies in SHOP_DATABASE_URL, or shop.db in STATE_DIR.
    """
    from voice_agent.cli.demo_backend import BackendPlan, run_demo_backend

    run_demo_backend(BackendPlan(host, port, faults, tuple(fault or ())))


@app.command()
def config(
    example: Annotated[bool, typer.Option("--example", help="Print .env.example instead: every default.")] = False,
) -> None:
    """Show the effective settings, secrets masked."""
    from voice_agent.cli.settings import print_example, print_settings

    print_example() if example else print_settings()


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(f"voice-agent {installed('voice-agent')}")


def main() -> None:
    """The console script."""
    try:
        app()
    except VoiceAgentError as error:
        typer.echo(f"voice-agent: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)  # as a shell reports a writer whose reader left
