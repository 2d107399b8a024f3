"""One command, one search: ``python orchestrator/search.py --task rte``, or ``ray submit cluster.yaml`` with the same.

`ray submit` copies this file alone to the head of a cluster and runs it there, so it holds nothing but the way to the
installed packages.
"""

import sys
from pathlib import Path

try:
    # Run as a script from a clone: the clone's own packages, not its orchestrator/ folder, come first.
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != here]
    if (here.parent / "pyproject.toml").exists():
        sys.path.insert(0, str(here.parent))
    from orchestrator.cli import search_main
except ImportError as error:
    sys.exit(
        f"error: {error}. The project is not installed in {sys.executable}: from a clone run `make setup`, or "
        "`pip install -c constraints.txt .`; on a cluster, on every host (setup_commands in the cluster file)."
    )

if __name__ == "__main__":
    search_main()
