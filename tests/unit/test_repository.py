"""Rules about the repository itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES_MAX = 500


def _files(*patterns: str) -> list[Path]:
    """Files git knows or would add; where there is no git (a source archive), files on disk."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.splitlines() or [
        str(path.relative_to(ROOT)) for pattern in patterns for path in (ROOT / "src").rglob(pattern)
    ]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_source_file_is_too_long() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _files("*.py", "*.js", "*.css")
        if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long


def test_every_relative_link_in_the_documents_leads_somewhere() -> None:
    broken: list[str] = []
    documents = _files("*.md")
    for document in documents:
        text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, _ = target.partition("#")
            if path and not re.match(r"[a-z]+:", path) and not (document.parent / path).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert not broken
