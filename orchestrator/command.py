"""Every command of the project as a script: ``ray submit cluster.yaml orchestrator/command.py nightly demo``.

`ray submit` copies this file alone to the head of a cluster and runs it there, so it holds nothing but the way to the
installed packages. It is ``adept-search``; `search.py` beside it is ``adept-search search``.
"""

import sys
from pathlib import Path

try:
    # Run as a script from a clone: the clone's own packages, not its orchestrator/ folder, come first.
    here = Path(__file__).resolve().parent
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != here]
    if (here.parent / "pyproject.toml").exists():
        sys.path.insert(0, str(here.parent))
    from orchestrator.cli import main
except ImportError as error:
    sys.exit(
        f"error: {error}. The project is not installed in {sys.executable}: from a clone run `make setup`, or "
        "`pip install -c constraints.txt .`; on a cluster, on every host (setup_commands in the cluster file)."
    )

if __name__ == "__main__":
    main()
