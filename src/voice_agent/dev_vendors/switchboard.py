"""Faults and journal over HTTP, for a person or a program that did not start the servers itself.

``GET /dev/faults`` shows what is on; ``PUT /dev/faults/llm/hang_midstream`` switches (``none`` heals; ``?after_bytes=N``);
``GET /dev/journal?since_s=T`` gives the journal's newer entries.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from voice_agent.dev_vendors.desk import VendorDesk
from voice_agent.dev_vendors.faults import Stage, parse_fault
from voice_agent.errors import ConfigError


def switchboard_routes(desk: VendorDesk) -> list[BaseRoute]:
    async def show_faults(request: Request) -> JSONResponse:
        return JSONResponse({stage.value: desk.faults.current(stage) or "none" for stage in Stage})

    async def set_fault(request: Request) -> JSONResponse:
        after = request.query_params.get("after_bytes", "")
        if after and not after.isdecimal():
            return JSONResponse({"error": f"after_bytes={after!r} is no whole number"}, status_code=400)
        try:
            stage, fault = parse_fault(f"{request.path_params['stage']}={request.path_params['fault']}")
        except ConfigError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        desk.faults.set(stage, fault, after_bytes=int(after) if after else None)
        return await show_faults(request)

    async def show_journal(request: Request) -> JSONResponse:
        since = request.query_params.get("since_s", "0")
        try:
            since_s = float(since)
        except ValueError:
            return JSONResponse({"error": f"since_s={since!r} is no number"}, status_code=400)
        entries = [
            {
                "at_s": entry.at_s,
                "stage": entry.stage,
                "exchange": entry.exchange,
                "mark": entry.mark,
                "text": entry.text,
            }
            for entry in desk.journal.entries
            if entry.at_s >= since_s
        ]
        return JSONResponse({"entries": entries})

    return [
        Route("/dev/faults", show_faults),
        Route("/dev/faults/{stage}/{fault}", set_fault, methods=["PUT"]),
        Route("/dev/journal", show_journal),
    ]
