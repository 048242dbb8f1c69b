"""Draws the state diagrams in ARCHITECTURE.md from the tables: ``python docs/draw_states.py`` rewrites them."""

from __future__ import annotations

import re
from pathlib import Path

from voice_agent.conversation import states

DOCUMENT = Path(__file__).parent.parent / "ARCHITECTURE.md"
TABLES = {"caller": states.CALLER_TABLE, "agent": states.AGENT_TABLE, "call": states.CALL_TABLE}


def redrawn(text: str) -> str:
    """The document with each ``<!-- states:NAME -->`` block drawn anew."""
    for name, table in TABLES.items():
        block = f"<!-- states:{name} -->\n```mermaid\n{states.mermaid(table)}\n```\n<!-- end -->"
        text, count = re.subn(rf"<!-- states:{name} -->.*?<!-- end -->", block, text, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{DOCUMENT.name} has {count} blocks for the states of the {name}, not 1")
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(redrawn(DOCUMENT.read_text()))
