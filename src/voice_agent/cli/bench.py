"""``voice-agent bench``: measurements of this installation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

bench_app = typer.Typer(no_args_is_help=True, help="Measure how well this installation behaves.")


@bench_app.callback()
def bench() -> None:
    """Measure how well this installation behaves."""


@bench_app.command()
def turns(
    families: Annotated[str, typer.Option(help="Only these, separated by commas. See --list.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="One short call of each family: about 90 seconds.")] = False,
    url: Annotated[str, typer.Option(help="Measure a running server. Default: start one with these settings.")] = "",
    events_dir: Annotated[
        Path | None, typer.Option(help="With --url: where that server keeps its event logs, for the operating curve.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=50, help="Calls at once; local models take half a core each.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="Another seed composes other calls.")] = 1,
    recordings: Annotated[
        Path | None, typer.Option(help="Human recordings. Default: Debian's asterisk-core-sounds-en-wav.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page with plots (HTML) to this file.")] = None,
    logs: Annotated[Path | None, typer.Option(help="Keep the calls' event logs in this folder.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A result to compare with. Default: the baseline in the repository.")
    ] = None,
    save_baseline: Annotated[bool, typer.Option("--save-baseline", help="Make this run the baseline.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show the families and leave.")] = False,
) -> None:
    """Measure turn-taking: scripted callers talk to a real server in real time, 8 to 10 minutes in all.

    Reports how soon the agent answers, how often it cuts callers off, how fast it yields when interrupted, and what it lets
    pass. Exit code 1 where a figure is worse than the baseline's by more than chance explains.
    """
    from voice_agent.cli.bench_turns import BenchOptions, list_families, run_bench

    if listed:
        list_families()
        return
    options = BenchOptions(
        families=tuple(name.strip() for name in families.split(",") if name.strip()),
        quick=quick,
        url=url,
        events_dir=events_dir,
        parallel=parallel,
        seed=seed,
        recordings=recordings,
        json_file=json_file,
        report=report,
        logs=logs,
        compare=compare,
        save_baseline=save_baseline,
    )
    raise typer.Exit(run_bench(options))
