"""``adept-search champions``: the champions of a store's registry, and why each is one."""

from __future__ import annotations

from orchestrator.commands.messages import with_messages
from orchestrator.commands.options import TrackingUri


def champions(tracking_uri: TrackingUri = None) -> None:
    """Show the champions: the best adapter of each task and backbone, and of each method on it, and since when and why.

    Exit code 0; 2 where there is no store that answers.
    """

    def run() -> int:
        from rich.text import Text

        from orchestrator.console import PlainConsole
        from orchestrator.nights.champion_table import champion_table
        from orchestrator.quiet import silence_libraries
        from orchestrator.summarizer.writers import terminal
        from orchestrator.tracking.registry import Registry

        silence_libraries()
        registry = Registry.open(tracking_uri)
        table = champion_table(registry)
        console = PlainConsole()
        if table.rows:
            terminal.show(table, console)
        else:
            nobody = f"The registry of {registry.shown} has no champion yet: a night whose sweep has `champions: yes`"
            console.print(Text(f"{nobody} crowns them (adept-search nightly)"))
        return 0

    with_messages(run)
