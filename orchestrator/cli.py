"""The command line: one parser for the installed command and for `orchestrator/search.py`."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated, Any

import typer

from orchestrator.commands.compare import compare
from orchestrator.commands.messages import with_messages
from orchestrator.commands.predict import predict
from orchestrator.commands.replay import replay
from orchestrator.commands.report import report
from orchestrator.commands.verify import verify
from orchestrator.commands.watch import stop, watch
from orchestrator.console import PlainConsole, prepare_output
from orchestrator.plan.places import resolved
from orchestrator.plan.resolve import Plan, make_plan
from orchestrator.plan.settings import as_arguments, read_settings
from orchestrator.run.resume import resumed_options
from orchestrator.schedulers.asha import REDUCTION_FACTOR
from search_spaces import space_names

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Find the best ADePT configuration for a task on a frozen language model.",
)

NOT_KEPT = ("plan", "resume", "rerun", "quiet", "debug")
"""Options that say what to do now; the others say what a search is, and are kept with it."""


def option(help_text: str, metavar: str = "TEXT") -> Any:
    """An option that reaches `read_settings` as text, so that all wrong values are reported together."""
    return typer.Option(help=help_text, metavar=metavar, show_default=False)


def search(
    task: Annotated[str | None, option("task name, or the YAML file of an own task [debsec]", "TASK")] = None,
    method: Annotated[str | None, option("adept, dept, pt or lora [adept]", "METHOD")] = None,
    backbone: Annotated[
        str | None, option("t5-nano, t5-base, ..., a hub id or a folder [the task's]", "NAME|ID|FOLDER")
    ] = None,
    space: Annotated[str | None, option("search space: a name or a YAML file [the backbone's]", "NAME|FILE")] = None,
    recipe: Annotated[str | None, option("released_code or paper [released_code]", "RECIPE")] = None,
    data_dir: Annotated[str | None, option("read the task's data here, in the hub's layout", "FOLDER")] = None,
    steps: Annotated[str | None, option("budget of a trial in updates [the space's]", "N")] = None,
    eval_every: Annotated[str | None, option("updates between two reports [the space's]", "N")] = None,
    batch_size: Annotated[str | None, option("rows in a batch [the space's]", "N")] = None,
    warmup_steps: Annotated[str | None, option("updates of linear warm-up [the space's]", "N")] = None,
    max_source_length: Annotated[str | None, option("longest source in tokens [the task's]", "N")] = None,
    seed: Annotated[str | None, option("training seed; the data split has its own [42]", "N")] = None,
    scheduler: Annotated[
        str | None,
        option("promotion: pause, go on with the best; asha, median: stop poor trials; none [promotion]", "NAME"),
    ] = None,
    grace: Annotated[str | None, option("updates before the first decision [a quarter of the budget]", "N")] = None,
    eta: Annotated[
        str | None, option(f"asha, promotion: one in N trials goes on at each rung [{REDUCTION_FACTOR}]", "N")
    ] = None,
    ties: Annotated[
        str | None,
        option("asha, promotion: equal scores all go on (keep), or those of the lower loss (loss) [keep]", "NAME"),
    ] = None,
    search: Annotated[
        str | None, option("grid: the space's own; random, tpe, gp: drawn from its ranges [grid]", "NAME")
    ] = None,
    samples: Annotated[str | None, option("configurations to train [the whole grid]", "N")] = None,
    seeds: Annotated[str | None, option("seeds on which the best configurations are trained [1]", "N")] = None,
    top: Annotated[str | None, option("configurations to compare over --seeds [1]", "N")] = None,
    warm_start: Annotated[
        bool, typer.Option("--warm-start", help="tpe, gp: learn from earlier searches in the MLflow store")
    ] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="take over equal trials that are in the MLflow store already")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="the same numbers to the last bit in whatever order trials run")
    ] = False,
    devices: Annotated[str | None, option("accelerators, or without any CPU cores, to use [all]", "N")] = None,
    slots: Annotated[str | None, option("trials that share a device [as many as fit and pay]", "N")] = None,
    max_concurrent: Annotated[str | None, option("trials at once, at most", "N")] = None,
    host_wait: Annotated[
        str | None, option("with no engine left, wait so many minutes for a host to join [60]", "MINUTES")
    ] = None,
    precision: Annotated[str | None, option("float32 or bfloat16, of the backbone [float32]", "NAME")] = None,
    memory_limit: Annotated[str | None, option("memory that a device's trials may use [all of it]", "GB")] = None,
    tracking_uri: Annotated[
        str | None, option("MLflow store [$MLFLOW_TRACKING_URI, else sqlite:///mlflow.db here]", "URI")
    ] = None,
    output: Annotated[str | None, option("folder for results [$ADEPT_OUTPUT, else runs]", "FOLDER")] = None,
    storage: Annotated[
        str | None, option("checkpoints there, and a copy of the results [$ADEPT_STORAGE, else none]", "URI")
    ] = None,
    name: Annotated[str | None, option("name of the search [made from its settings]", "NAME")] = None,
    price: Annotated[str | None, option("price of a device-hour, for the estimate of --plan", "X")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="print trials, steps, time and cost; start nothing")] = False,
    rerun: Annotated[
        str | None, option("train these trials of the search again: failed, diverged, or numbers (3,7)", "WHICH")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on with an interrupted search; with --name its settings are read back")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="print failures and the final table only")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show the logs of Ray, MLflow and transformers")] = False,
) -> None:
    """Search: train the configurations of a space, stop the poor ones early, test the winner once."""
    given = locals()
    options = {key: as_text(given[key]) for key in given if key not in NOT_KEPT}
    with_messages(lambda: start(options, plan_only=plan, resume=resume, rerun=rerun, quiet=quiet, debug=debug))


def plan(**given: Any) -> None:
    """Plan: print what `search` with the same options would train, how long and at what cost; start nothing."""
    with_messages(lambda: start({k: as_text(v) for k, v in given.items()}, plan_only=True))


signature = inspect.signature(search, eval_str=True)
plan.__signature__ = signature.replace(  # type: ignore[attr-defined]
    parameters=[parameter for name, parameter in signature.parameters.items() if name not in NOT_KEPT]
)


def resume(
    name: Annotated[str, typer.Argument(help="name of the search", metavar="NAME")],
    task: Annotated[str | None, option("the task file, where it has moved", "FILE")] = None,
    backbone: Annotated[str | None, option("the backbone, where it has moved", "FOLDER")] = None,
    space: Annotated[str | None, option("the search space, where it has moved", "FILE")] = None,
    data_dir: Annotated[str | None, option("the task's data, where they have moved", "FOLDER")] = None,
    tracking_uri: Annotated[str | None, option("the MLflow store, where it has moved", "URI")] = None,
    output: Annotated[str | None, option("folder of the results [$ADEPT_OUTPUT, else runs]", "FOLDER")] = None,
    storage: Annotated[str | None, option("where the search is, too [$ADEPT_STORAGE]", "URI")] = None,
    rerun: Annotated[
        str | None, option("train these trials again: failed, diverged, or numbers (3,7)", "WHICH")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print failures and the final table only")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show the logs of Ray, MLflow and transformers")] = False,
) -> None:
    """Resume: go on with an interrupted search, from any folder; the same as `search --resume --name NAME`."""
    given = locals()
    options = {key: given.get(key) for key in signature.parameters if key not in NOT_KEPT}
    with_messages(lambda: start(options, resume=True, rerun=rerun, quiet=quiet, debug=debug))


app.command(name="search")(search)
app.command(name="plan")(plan)
app.command(name="resume")(resume)
app.command(name="report")(report)
app.command(name="compare")(compare)
app.command(name="replay")(replay)
app.command(name="predict")(predict)
app.command(name="verify")(verify)
app.command(name="watch")(watch)
app.command(name="stop")(stop)


@app.command(name="list")
def list_choices() -> None:
    """List the tasks, methods, backbones and search spaces that `search` knows by name."""
    from search_spaces import methods
    from trials.backbones.facts import backbone_names
    from trials.tasks import task_names

    for title, names in {
        "tasks": task_names(),
        "methods": list(methods()),
        "backbones": backbone_names(),
        "spaces": space_names(),
    }.items():
        print(f"{title:10} {', '.join(names)}")


def start(
    options: dict[str, str | None],
    *,
    plan_only: bool = False,
    resume: bool = False,
    rerun: str | None = None,
    quiet: bool = False,
    debug: bool = False,
) -> int:
    """Resolve, check, then plan or run; the exit code."""
    options = resumed_options(options) if resume else resolved(options)
    settings, problems = read_settings(options)
    plan = make_plan(settings, problems)
    console = PlainConsole(soft_wrap=not sys.stdout.isatty())
    if plan_only:
        from orchestrator.plan.data import planned_data
        from orchestrator.plan.estimate import print_plan
        from orchestrator.run.standing import standing

        quieten()
        print_plan(plan, PlainConsole(width=None if sys.stdout.isatty() else 120), planned_data(plan))
        for line in standing(plan):
            console.print(line)
        return 0
    if not debug:
        quieten()
    from orchestrator.run import detach

    if detach.is_wanted():
        flags = {"resume": resume, "quiet": quiet, "debug": debug}
        arguments = as_arguments({**options, "rerun": rerun}, **flags)
        return detach.run_detached(plan, arguments, console, quiet)
    from orchestrator.run.run import run_search

    return run_search(plan, options, console, resume=resume, rerun=rerun, quiet=quiet, debug=debug)


def as_text(value: str | bool | None) -> str | None:
    """An option's value as `read_settings` takes it: None where it was not given."""
    return ("yes" if value else None) if isinstance(value, bool) else value


def quieten() -> None:
    """Silence what users did not ask for: progress bars and notices of the libraries below."""
    from orchestrator.quiet import silence_libraries

    silence_libraries()


def main(arguments: list[str] | None = None) -> None:
    """The console command ``adept-search``."""
    prepare_output()
    app(arguments)


def search_main() -> None:
    """The script ``orchestrator/search.py``: `search` alone, without naming it."""
    prepare_output()
    script = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    script.command()(search)
    script()


__all__ = ["Plan", "app", "main", "search_main"]
