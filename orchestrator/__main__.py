"""``python -m orchestrator`` is the command ``adept-search``."""

from orchestrator.cli import main

main()
