"""`adept-search analyse`, as typed, on adapters that were really trained; its numbers against ones made by hand."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.analyses.analyse import analysed
from orchestrator.analyses.bench import Bench
from orchestrator.analyses.catalogue import ANALYSES, chosen
from orchestrator.record.record import SearchRecord
from orchestrator.summarizer.results.saved_searches import read_folders
from orchestrator.summarizer.tables.model import Cell, ReportTable
from tests.faults.small_search import TASK, make_task
from tests.orchestrator.analyses.trained_searches import STEPS, engine_of, train_search
from tests.orchestrator.typed_commands import typed
from trials import Adapter, Engine, load_adapter

RATES = {"prompt_lr": 0.3, "mlp_lr": 0.03}
KEPT = "adept/tune/attempt-1/trial-{}/checkpoint_step_*/adapter"
SIZES = [(4, 5), (4, 10), (20, 5), (0, 10)]  # prompt length, bottleneck


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    home = tmp_path_factory.mktemp("work")
    make_task(home)
    torch.set_num_threads(1)
    return engine_of(home)


@pytest.fixture(scope="module")
def home(engine: Engine) -> Path:
    home = engine.data.folder.parents[1]
    while not (home / "task.yaml").exists():
        home = home.parent
    configurations = [{**RATES, "prompt_length": m, "bottleneck": r} for m, r in SIZES]
    train_search(engine, home, "adept", configurations)
    train_search(engine, home, "dept", [{"prompt_lr": 0.3, "lowrank_lr": 3.0, "prompt_length": 4, "rank": 8}])
    train_search(engine, home, "pt", [{"prompt_lr": 0.3, "prompt_length": 200}])
    return home


@pytest.fixture(autouse=True)
def own_cache(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("ADEPT_CACHE", str(home / "cache"))
    monkeypatch.chdir(tmp_path)
    yield


Make = Callable[[str], ReportTable]


@pytest.fixture(scope="module")
def table(home: Path, engine: Engine) -> Make:
    """An analysis by its name, from adapters on one loaded backbone."""
    bench = Bench()
    bench._backbones["t5-nano", "float32", "False"] = engine.backbone

    def make(name: str) -> ReportTable:
        (analysis,) = chosen([name])
        return analysed(analysis, read_folders([home / "runs"]).searches, bench).table()

    return make


@pytest.fixture(scope="module")
def load(home: Path, engine: Engine) -> Callable[[str], Adapter]:
    """An adapter below a pattern of `home`/runs."""

    def load(pattern: str) -> Adapter:
        (folder,) = (home / "runs").glob(pattern)
        return load_adapter(folder, engine.backbone)

    return load


Load = Callable[[str], Adapter]


def cells(found: ReportTable, row: str) -> dict[str, Cell]:
    """A measured row by the headings of its columns."""
    (line,) = [line for line in found.rows if line.cells[0].text == row and line.section.startswith("measured")]
    heads = [f"{column.group} {column.label}".strip() for column in found.columns]
    return dict(zip(heads, line.cells, strict=True))


def accuracy(adapter: Adapter, home: Path) -> float:
    with (home / "test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    answers = adapter.predict_rows([row["text"] for row in rows])
    return 100.0 * sum(a.label == row["kind"] for a, row in zip(answers, rows, strict=True)) / len(rows)


def test_depts_offsets_are_shifted(home: Path, table: Make, load: Load) -> None:
    found = cells(table("offset-shift"), TASK)
    dept = load("dept/best_adapter")
    for places in (0, 50):
        expected = accuracy(dept.with_offsets_moved(places), home)
        assert found[f"DePT ({places})"].value == pytest.approx(expected)
    moved = dept.with_offsets_moved(50).method.get_parameter(dept.method.method.offset_places)
    assert not torch.equal(moved, dept.method.get_parameter(dept.method.method.offset_places))
    assert found["ADePT"].value == pytest.approx(accuracy(load("adept/best_adapter"), home))


def test_embeddings_and_offsets_are_measured_over_the_training_tokens(engine: Engine, table: Make, load: Load) -> None:
    found = table("embedding-statistics")
    rows = engine.data.split("train").batch(range(64))[0]
    tokens = [token for row in rows for token in row]
    embeddings = engine.backbone.embedding[torch.tensor(tokens)]
    dept = load("dept/best_adapter").method
    offsets = dept.offset(torch.zeros(1, 40, 256))[0]  # an offset by place does not look at the token
    places = torch.cat([offsets[: len(row)] for row in rows]).detach()
    for label, values in {"input embeddings": embeddings, "DePT offset": places}.items():
        shown = cells(found, label)
        assert shown[f"{TASK} Mean"].value == pytest.approx(float(values.abs().mean()), rel=1e-4)
        assert shown[f"{TASK} Variance"].value == pytest.approx(float(values.abs().var(correction=0)), rel=1e-3)
    adept = load("adept/best_adapter").method
    shifts = (adept.offset(embeddings[None])[0] - embeddings).detach()
    assert cells(found, "ADePT offset")[f"{TASK} Mean"].value == pytest.approx(float(shifts.abs().mean()), rel=1e-4)
    quoted = next(line for line in found.rows if line.section == "quoted")
    assert [cell.text for cell in quoted.cells][:3] == ["input embeddings", "6.07", "16.29"]


def test_offsets_are_left_out(home: Path, table: Make, load: Load) -> None:
    found = table("without-offsets")
    for title, method in (("DePT", "dept"), ("ADePT", "adept")):
        adapter = load(f"{method}/best_adapter")
        assert cells(found, title)["With offsets"].value == pytest.approx(accuracy(adapter, home))
        bare = accuracy(adapter.without_offsets(), home)
        assert cells(found, title)["Without offsets"].value == pytest.approx(bare)


def test_each_size_is_its_best_trial_on_the_test_rows(home: Path, table: Make, load: Load) -> None:
    """Bottlenecks 5 and 10 with the prompt length that both were trained with; no trial of the others."""
    found = table("bottleneck")
    shown = cells(found, "ADePT")
    for number, size in ((1, "5"), (2, "10")):
        assert shown[size].value == pytest.approx(accuracy(load(KEPT.format(number)), home))
    assert shown["20"].kind == shown["30"].kind == "missing"
    assert any("prompt_length 4 in all columns" in note for note in found.notes)
    (fill,) = found.missing
    assert fill.cells == "ADePT on t5-nano: bottleneck 20, 30"
    assert fill.command == (
        f"adept-search search --method adept --steps {STEPS} --backbone t5-nano --space ablations --scheduler none "
        f"--task {home / 'task.yaml'}"
    )


def test_searches_of_few_rows_and_from_a_source_stand_beside_nothing(home: Path, table: Make) -> None:
    before = table("prompt-length")
    record = SearchRecord.load(home / "runs" / "adept" / "search.json")
    for name, settings in (("few", {"shots": 16}), ("started", {"sources": "debmatch"})):
        later = replace(record, name=name, settings={**record.settings, **settings})
        later.provenance = {**record.provenance, "started": "2027-01-01T10:00:00+00:00"}
        later.save(home / "runs" / name / "search.json")
    try:
        after = table("prompt-length")
    finally:
        shutil.rmtree(home / "runs" / "few")
        shutil.rmtree(home / "runs" / "started")
    assert after.rows == before.rows
    assert [note for note in after.notes if note.endswith(": few, started.")]


def test_a_part_of_a_method_stands_beside_the_whole(home: Path, table: Make, load: Load) -> None:
    found = table("network-alone")
    assert cells(found, "Only Feed-forward Neural Network")["Parameters"].text == "1.0K"
    alone, whole = (cells(found, row)[TASK].value for row in ("Only Feed-forward Neural Network", "ADePT"))
    assert alone == pytest.approx(accuracy(load(KEPT.format(4)), home))
    best = max(
        (t for t in read_folders([home / "runs/adept"]).searches[0].record.trials[:3]), key=lambda t: t.best_score or 0
    )
    assert whole == pytest.approx(accuracy(load(KEPT.format(best.number)), home))


def test_times_and_speeds_are_of_the_winners(home: Path, table: Make) -> None:
    record = read_folders([home / "runs/dept"]).searches[0].record
    seconds = record.trials[0].train_seconds + record.trials[0].evaluation_seconds
    assert cells(table("training-time"), "DePT")[f"{TASK}, seconds"].value == pytest.approx(seconds)
    assert cells(table("training-time"), "PT")[f"{TASK}, seconds"].value


def test_longer_prompts_are_scored_and_timed(
    home: Path, table: Make, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only configurations with the sizes of the paper's rows; the others are asked for."""
    monkeypatch.setattr("orchestrator.analyses.bench.TIMED_ROWS", 8)
    found = table("long-prompts")
    (line,) = [line for line in found.rows if line.section.startswith("measured")]
    shown = cells(found, "PT (m=200)")
    assert line.cells[0].text == "PT (m=200)" and shown["GLUE mean"].kind == "missing"
    assert shown[TASK].value == pytest.approx(accuracy(load("pt/best_adapter"), home))
    speed = shown[f"{TASK}, samples per second"]
    assert speed.value and 1 < speed.value < 1e6 and speed.one_example is None
    asked = {fill.cells: fill.command for fill in found.missing}
    assert list(asked) == [f"{row} on t5-nano: {TASK}" for row in ("DePT (m=120, r=60)", "ADePT (m=120, r=39)")]
    assert all("--space long-prompts --scheduler none" in command for command in asked.values())


def test_the_tables_are_written_in_every_form(home: Path, tmp_path: Path) -> None:
    code, printed, _ = typed("analyse", "1", "without-offsets", "--runs", str(home / "runs"), "--out", "tables")
    assert code == 0
    printed = " ".join(printed.split())
    assert "Table 1 of the ADePT paper" in printed and "79.1" in printed and "measured on t5-nano" in printed
    assert "6 files in tables" in printed
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {f"table-1-offset-shift.{end}" for end in ("md", "tex", "csv")} < names
    with (tmp_path / "tables/table-1-offset-shift.csv").open(newline="") as stream:
        kinds = [row["kind"] for row in csv.DictReader(stream)]
    assert (kinds.count("quoted"), kinds.count("measured")) == (12, 6)


def test_names_are_listed_and_the_papers_numbers_need_no_search(tmp_path: Path) -> None:
    code, printed, _ = typed("analyse")
    assert code == 0 and all(one.name in printed for one in ANALYSES)
    code, printed, _ = typed("analyse", "bottleneck")
    assert code == 0 and "78.4" in printed
    assert "search --method adept --backbone t5-base --space ablations --scheduler none --task rte" in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["offset-shft", "99"], "analysis offset-shft: it is one of offset-shift (1), "),
        (["1", "--formats", "html", "--out", "x"], "--formats html: it is one or more of markdown, latex, csv"),
        (["1", "--formats", "csv"], "give that, too"),
        (["1", "--data-dir", "nowhere"], "--data-dir nowhere: there is no such folder"),
        (["1", "--runs", "nowhere"], "nowhere: there is no such folder or record"),
        (["1", "--runs", "HOME", "--backbone", "t5-huge"], "--backbone t5-huge: no search has it"),
        (["1", "--runs", "HOME", "--backbone", "t5-base"], "of what is selected: offset-shift needs a search of dept"),
        (["10", "--runs", "EMPTY"], "this makes it: adept-search search --method embedding_matrix --backbone t5-base"),
    ],
)
def test_what_is_wrong_is_one_message(home: Path, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "none").mkdir()
    places = {"HOME": str(home / "runs"), "EMPTY": str(tmp_path / "none")}
    code, _, errors = typed("analyse", *(places.get(word, word) for word in words))
    assert code == 2
    assert message in errors.replace("\n", " ")
    assert "Traceback" not in errors and not (tmp_path / "x").exists()


def test_adapters_that_are_gone_or_of_other_rows_are_named(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "runs", tmp_path / "runs")
    shutil.rmtree(tmp_path / "runs/dept/best_adapter")
    shutil.rmtree(tmp_path / "runs/dept/tune")
    code, printed, _ = typed("analyse", "without-offsets", "--runs", str(tmp_path / "runs"))
    assert code == 0 and "Left out: trial 1 of search dept has no adapter" in printed.replace("\n", " ")
    shutil.copytree(home, tmp_path / "moved", ignore=shutil.ignore_patterns("runs", "cache"))
    lines = (home / "test.csv").read_text().splitlines()
    (tmp_path / "moved/test.csv").write_text("\n".join(lines[:-8]) + "\n")
    for options in (tmp_path / "runs").glob("*/options.json"):
        options.write_text(options.read_text().replace(str(home), str(tmp_path / "moved")))
    shutil.rmtree(tmp_path / "runs/dept")
    code, printed, errors = typed("analyse", "embedding-statistics", "--runs", str(tmp_path / "runs"))
    assert code == 2 and "was trained on other rows of" in errors.replace("\n", " ")
    assert printed == ""


def test_adapters_come_from_the_tracking_store(home: Path, tracking_uri: str, tmp_path: Path) -> None:
    """Also that of a trial that did not win, whose search has no folder here."""
    from mlflow import MlflowClient

    folder, client = home / "runs" / "adept", MlflowClient(tracking_uri)
    experiment = client.create_experiment("analyses", artifact_location=str(tmp_path / "artifacts"))
    options = (folder / "options.json").read_text()
    parent = client.create_run(experiment, tags={"kind": "search", "search": "adept", "options": options}).info.run_id
    client.log_artifact(parent, str(folder / "search.json"))
    for number in (1, 2):
        tags = {"kind": "trial", "trial": str(number), "trial_id": f"t{number}", "mlflow.parentRunId": parent}
        run = client.create_run(experiment, tags=tags).info.run_id
        (adapter,) = (home / "runs").glob(KEPT.format(number))
        client.log_artifacts(run, str(adapter), "adapter")
    code, printed, errors = typed("analyse", "bottleneck", "--tracking-uri", tracking_uri)
    assert code == 0, errors
    code, expected, _ = typed("analyse", "bottleneck", "--runs", str(home / "runs"))
    assert printed == expected and "measured on t5-nano" in printed
