"""Makes the peers' environments: one for Pipecat and one for LiveKit Agents, about 1 GB in all.

    .venv/bin/python benchmarks/peers/setup.py /somewhere/peers

Their requirements clash with this project's, so each has its own, outside of the repository; the versions are those that
the figures in the README were taken with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = {
    "pipecat": ("pipecat-ai[silero,websocket]==1.14.0", "uvicorn", "uvloop", "httptools"),
    "livekit": ("livekit-agents==1.8.9", "websockets", "uvloop"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to make them; must lie outside of the repository")
    folder = parser.parse_args().folder.resolve()
    if Path(__file__).resolve().parents[2] in (folder, *folder.parents):
        raise SystemExit("Choose a folder outside of the repository.")
    for name, requirements in REQUIREMENTS.items():
        place = folder / name
        print(f"{name}: {', '.join(requirements)} -> {place}", flush=True)
        if not (place / "bin" / "python").exists():
            venv.create(place, with_pip=True)
        subprocess.run([place / "bin" / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)
    print(f"Done. Now e.g.: {sys.executable} benchmarks/overhead.py --peers {folder}")


if __name__ == "__main__":
    main()
