"""Write the embedded tasks and the pretraining text.

python -m pretraining.build --lists /var/lib/apt/lists --output build
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from pretraining.build_tasks import Row, pair_rows, pretraining_text, section_rows, split_groups
from pretraining.debian import grouped, primaries, read_packages


def write_rows(path: Path, rows: list[Row]) -> None:
    """One Parquet file, zstd."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", compression_level=19)


def main(
    lists: Annotated[Path, typer.Option(help="apt's list folder, English descriptions included")] = Path(
        "/var/lib/apt/lists"
    ),
    output: Annotated[Path, typer.Option(help="gets debsec/, debmatch/ and text/")] = Path("build"),
    seed: int = 0,
) -> None:
    """Build both tasks and the text from a Debian system's package lists."""
    try:
        packages = read_packages(lists)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    groups = grouped(packages)
    primary = primaries(groups)
    typer.echo(f"{len(packages)} packages, {len(groups)} source groups, {len(primary)} with a usable package")
    rng = random.Random(seed)
    split = split_groups(groups, primary, rng)
    tasks = {"debsec": section_rows(groups, primary, split, rng), "debmatch": pair_rows(primary, split, rng)}
    for task, splits in tasks.items():
        for name, rows in splits.items():
            write_rows(output / task / f"{name}.parquet", rows)
            typer.echo(f"{task} {name}: {len(rows)} rows")
    (output / "text").mkdir(parents=True, exist_ok=True)
    for name, documents in pretraining_text(packages, split, rng).items():
        with (output / "text" / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for _, document in documents:
                row = {"short": document.short, "long": document.long, "tags": sorted(document.tags)}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        typer.echo(f"text {name}: {len(documents)} documents")


if __name__ == "__main__":
    typer.run(main)
