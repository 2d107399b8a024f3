"""Kill anything at any time: ``python -m tests.faults.chaos --rounds 50 --seed 1``, from the top of the checkout.

Each round runs a small real search (six ADePT configurations on t5-nano, a few rows of the embedded task, an MLflow
server on SQLite) and at random moments kills its driver, an engine, a trial's actor or the tracking server with
SIGKILL; after some of the kills of a driver the latest checkpoint of a trial loses the end of one of its files. The
server comes back after a while or only when the search has ended; the search is resumed by its own command until it is
over. Then everything it has left is checked against its own journal, against MLflow, and, in the rounds with
``--deterministic``, against the same search undisturbed. The rounds take turns: promotion and ASHA, each of them
``--deterministic`` and deciding as reports come in.

Prints a table, writes it as JSON, and exits with 1 where anything was lost. Linux; only processes that the harness has
started itself are killed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.faults.checks import all_problems
from tests.faults.small_search import Search, Server, make_task
from tests.faults.strikes import KINDS, Outcome, Round, draw_strikes

DETERMINISTIC = "--deterministic"
TURNS = tuple(
    ("--scheduler", name, "--reduction-factor", "2", *how)
    for name in ("promotion", "asha")
    for how in ((DETERMINISTIC,), ())
)
IN_ORDER = {options for options in TURNS if DETERMINISTIC in options}
REPORTS = 42  # that such a search makes where nobody disturbs it; strikes are spread over them


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__.split("\n\n")[1])
    parser.add_argument("--rounds", type=int, default=50, help="searches to disturb [50]")
    parser.add_argument("--seed", type=int, help="decides what is killed and when [drawn and printed]")
    parser.add_argument("--first", type=int, default=1, help="number of the first round, to repeat one of a seed [1]")
    parser.add_argument("--only", choices=list(KINDS), help="kill nothing but these [all kinds]")
    parser.add_argument("--json", type=Path, help="write the outcome there")
    parser.add_argument("--folder", type=Path, help="keep the searches there [a temporary folder]")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    kinds = {options.only: 1} if options.only else KINDS
    if options.folder is not None:
        return run(options.rounds, seed, options.first, options.folder.resolve(), options.json, kinds)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        return run(options.rounds, seed, options.first, Path(folder), options.json, kinds)


def run(rounds: int, seed: int, first: int, folder: Path, file: Path | None, kinds: Mapping[str, int] = KINDS) -> int:
    """All rounds of a seed, in a folder that has none yet."""
    if (folder / "runs").exists():
        sys.exit(f"--folder {folder}: holds searches of an earlier call, which would be taken up; name another")
    make_task(folder)
    server = Server(folder / "server")
    begun = time.monotonic()
    try:
        server.start()
        wanted = {options_of(number) for number in range(first, first + rounds)}
        calm = {options: undisturbed(folder, options, server) for options in TURNS if options in wanted & IN_ORDER}
        print(f"{time.monotonic() - begun:5.0f} s  undisturbed", flush=True)
        outcomes: dict[int, Outcome] = {}
        for number in range(first, first + rounds):
            outcomes[number] = one_round(number, seed, folder, server, calm, begun, kinds)
    finally:
        server.kill()
    document = summary(seed, outcomes, time.monotonic() - begun)
    if file is not None:
        file.write_text(json.dumps(document, indent=1) + "\n")
    show(document, outcomes)
    return 1 if document["rounds with problems"] else 0


def options_of(number: int) -> tuple[str, ...]:
    """What the search of a round is asked to do."""
    return TURNS[(number - 1) % len(TURNS)]


def undisturbed(folder: Path, options: tuple[str, ...], server: Server) -> Search:
    """A search that nobody disturbs, for others to be compared with."""
    search = Search(folder, f"calm-{options[1]}", server.uri, options)
    if search.start().wait() != 0:
        sys.exit(f"the undisturbed search failed:\n{search.output}")
    problems = all_problems(search.folder, server.uri, undisturbed=None)
    if problems:
        sys.exit("the undisturbed search is not whole: " + "; ".join(problems))
    return search


def one_round(
    number: int,
    seed: int,
    folder: Path,
    server: Server,
    calm: dict[tuple[str, ...], Search],
    begun: float,
    kinds: Mapping[str, int],
) -> Outcome:
    """Disturb one search and check what it has left."""
    options = options_of(number)
    draw = random.Random(f"{seed}/{number}")
    strikes = draw_strikes(draw, REPORTS, kinds)
    search = Search(folder, f"round-{number}", server.uri, options)
    server.start()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  round {number}: {text}", flush=True)

    outcome = Round(search, server, strikes, draw).run(say)
    if not outcome.problems:
        like = calm.get(options)
        outcome.problems += all_problems(search.folder, server.uri, like.folder if like else None, outcome.cuts)
    say("; ".join(outcome.problems) or f"whole after {outcome.starts} starts")
    return outcome


def summary(seed: int, outcomes: dict[int, Outcome], seconds: float) -> dict[str, object]:
    """All figures in JSON's types."""
    kills: Counter[str] = Counter()
    for outcome in outcomes.values():
        kills += outcome.strikes
    cuts = [name for outcome in outcomes.values() for name in outcome.cuts]
    return {
        "seed": seed,
        "rounds": len(outcomes),
        "kills": {kind: kills[kind] for kind in KINDS},
        "files cut": dict(Counter(name.partition("/checkpoint_")[2].partition("/")[2] for name in cuts)),
        "starts": sum(outcome.starts for outcome in outcomes.values()),
        "refused without the server": sum(outcome.refused for outcome in outcomes.values()),
        "kills that came too late": sum(outcome.missed for outcome in outcomes.values()),
        "rounds with problems": sum(bool(outcome.problems) for outcome in outcomes.values()),
        "losses": sum(len(outcome.problems) for outcome in outcomes.values()),
        "seconds": round(seconds),
        "outcomes": {str(number): {**vars(outcome)} for number, outcome in outcomes.items()},
    }


def show(document: dict[str, object], outcomes: dict[int, Outcome]) -> None:
    """The table for people."""
    table = Table(
        "round", *KINDS, "files cut", "starts", "refused", "seconds", "losses", title=f"seed {document['seed']}"
    )
    for number, outcome in outcomes.items():
        kills = [str(outcome.strikes[kind]) for kind in KINDS]
        rest = [
            str(len(outcome.cuts)),
            str(outcome.starts),
            str(outcome.refused),
            f"{outcome.seconds:.0f}",
            str(len(outcome.problems)),
        ]
        table.add_row(str(number), *kills, *rest)
    all_kills, cuts = document["kills"], document["files cut"]
    assert isinstance(all_kills, dict) and isinstance(cuts, dict)
    totals = [
        str(sum(cuts.values())),
        *(str(document[key]) for key in ("starts", "refused without the server", "seconds", "losses")),
    ]
    table.add_section()
    table.add_row("all", *(str(count) for count in all_kills.values()), *totals)
    Console(width=120).print(table)
    for number, outcome in outcomes.items():
        for problem in outcome.problems:
            print(f"round {number}: {problem}")


if __name__ == "__main__":
    sys.exit(main())
