"""Metrics of several worker processes as those of one server.

Each worker keeps its values in memory-mapped files of one folder (the client library's multi-process mode); any worker
can add up all of them when it is asked. Files carry the worker's slot and not its process id: a worker that takes the
place of one that died goes on with its counters, so nothing that was counted is lost and files do not pile up. Gauges say
how things are now, so those of a dead worker are thrown away.

https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library reads it by itself


def share_metrics(folder: Path, slot: int) -> None:
    """From now on this process's metrics are part of the server's. Once per process, before any metric is made."""
    forget_gauges(folder, slot)
    os.environ[_FOLDER] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def forget_gauges(folder: Path, slot: int) -> None:
    """The worker in this slot is gone."""
    for file in folder.glob(f"gauge_live*_{slot}.db"):
        file.unlink(missing_ok=True)


def all_workers() -> CollectorRegistry | None:
    """What all workers have measured; None where this process is the whole server."""
    folder = os.environ.get(_FOLDER)
    if not folder or not getattr(values.ValueClass, "_multiprocess", False):
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return registry
