"""One JSON file of all that `benchmarks/gpu.sh` has measured.

    python -m benchmarks.card FOLDER --device cuda [--out FILE]

Of each part it finds NAME.ended (its exit code), and NAME.json, NAME.seconds and NAME.log where they were written.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import torch

from orchestrator.record import provenance

RESULTS = Path(__file__).with_name("results")
TOO_LONG = {124, 137}
LINES = 15  # of the log of a part that failed


def gathered(folder: Path, device: str) -> dict[str, Any]:
    """All parts by their names, how each ended, and on what they ran."""
    parts: dict[str, Any] = {}
    for file in sorted(folder.glob("*.ended"), key=lambda path: path.stat().st_mtime_ns):
        code, name = int(file.read_text()), file.stem
        ended = "done" if code == 0 else "took too long" if code in TOO_LONG else f"failed with {code}"
        part: dict[str, Any] = {"ended": ended}
        if (seconds := file.with_suffix(".seconds")).exists():
            part["seconds"] = int(seconds.read_text())
        if (found := file.with_suffix(".json")).exists():
            part["found"] = json.loads(found.read_text())
        if code and (log := file.with_suffix(".log")).exists():
            part["log"] = log.read_text(errors="replace").splitlines()[-LINES:]
        parts[name] = part
    card = torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_available() else device
    versions = provenance.collect(command=["benchmarks/gpu.sh"])
    return {"device": card, "done": all(p["ended"] == "done" for p in parts.values()), "parts": parts, **versions}


def main() -> None:
    """Gather, write, say how each part ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, help="[benchmarks/results/gpu-CARD.json]")
    args = parser.parse_args()
    found = gathered(args.folder, args.device)
    out = args.out or RESULTS / f"gpu-{re.sub(r'[^a-z0-9]+', '-', found['device'].lower()).strip('-')}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    for name, part in found["parts"].items():
        print(f"{name}: {part['ended']}")
    print(out)
    raise SystemExit(not (found["parts"] and found["done"]))


if __name__ == "__main__":
    main()
