"""A process with the real clients of the hub in it, which does what it is asked for, a line of JSON at a time.

`HF_ENDPOINT`, `HF_HOME` and `HF_HUB_OFFLINE` are read when those clients are imported: hence a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
LIMITS = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}


class Client:
    """`with Client(url, home) as client: client("rows", task="cb")`.

    Args:
        endpoint: of the stand-in.
        home: where the client keeps what it has downloaded.
        more: of its environment.
    """

    def __init__(self, endpoint: str, home: Path, **more: str) -> None:
        hubs = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_UPDATE_DOWNLOAD_COUNTS": "0"}
        own = {"ADEPT_CACHE": str(home / "adept"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**kept, **LIMITS, **hubs, **own, **more},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def __call__(self, what: str, **given: Any) -> dict[str, Any]:
        """What one of the functions below returns, or `{"problems": [...]}`; always with `seconds`."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"what": what, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client ended with {self._process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        print(what, given, f"{answer['seconds']:.1f} s", answer.get("problems", ""))  # shown where a test fails
        assert "trace" not in answer, answer["trace"]
        return answer

    def problem(self, what: str, **given: Any) -> str:
        """The one thing that is wrong with it."""
        [problem] = self(what, **given)["problems"]
        return str(problem)


def rows(task: str = "", **changes: Any) -> dict[str, Any]:
    """The prepared rows of a registered task, or of a made-up one on the hub; or with its published sizes unknown."""
    from tests.trials.made_data import made_task, nano_tokenizer
    from trials.data import prepare
    from trials.tasks import get_task

    changes = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
    made = replace(get_task(task), **changes) if task else made_task(split="small", **changes)
    prepared = prepare(made, nano_tokenizer(), architecture="encoder-decoder")
    last = prepared.split("train").batch([prepared.sizes["train"] - 1])[0][0].tolist()
    return {"sizes": prepared.sizes, "fingerprint": prepared.fingerprint, "last": nano_tokenizer().decode(last)}


def model(name: str, revision: str = "") -> dict[str, Any]:
    """A loaded backbone."""
    from trials.backbones.loading import load_backbone

    backbone = load_backbone(name, revision=revision)
    ids = backbone.tokenizer("a text")["input_ids"]
    return {"revision": backbone.facts.revision, "sum": float(backbone.embedding.double().sum()), "ids": ids}


def adapter(folder: str, name: str = "") -> dict[str, Any]:
    """Write an adapter of a model, or load one: the revision that it is on, and whether it may start a search there."""
    from tests.trials.making import config, trial
    from trials.backbones.describe import describe
    from trials.backbones.loading import load_backbone
    from trials.export.adapters import describe_adapter, load_adapter, save_adapter
    from trials.export.source_prompts import read_source
    from trials.methods import get_method
    from trials.tasks import get_task

    if not name:
        loaded = load_adapter(folder).backbone.facts
        read_source(Path(folder), "debsec", get_method("spot"), describe(loaded.location), "an adapter")
        return {"revision": loaded.revision}
    backbone = load_backbone(name)
    made = trial(backbone, config("pt"))
    description = describe_adapter(made.config, get_task("debsec"), backbone, 64, 2)
    save_adapter(Path(folder), made.method.state_dict(), description)
    return {"revision": description["backbone_revision"]}


def tiny_t5(folder: str, seed: int) -> dict[str, Any]:
    """Write a T5 of random weights with the embedded backbone's tokenizer, as `save_pretrained` does."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, T5Config

    from tests.trials.making import save

    torch.manual_seed(seed)
    kind: Any = T5Config
    made = kind(
        vocab_size=8128, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_layers=1, num_decoder_layers=1,
        decoder_start_token_id=0,
    )  # fmt: skip
    save(Path(folder), AutoModelForSeq2SeqLM.from_config(made))
    return {}


def command(*given: str) -> dict[str, Any]:
    """The command line: its exit code, and what it prints."""
    from typer.testing import CliRunner

    from orchestrator.cli import app

    done = CliRunner().invoke(app, list(given))
    return {"code": done.exit_code, "output": done.output}


def environment(**given: str) -> dict[str, Any]:
    """Set variables, such as a token."""
    os.environ.update(given)
    return {}


def hurry() -> None:
    """Shorten the pauses between the client's tries, which are a matter of seconds."""
    from types import SimpleNamespace

    from huggingface_hub import file_download
    from huggingface_hub.utils import _http

    for module in (_http, file_download):
        assert hasattr(module, "time")
        vars(module)["time"] = SimpleNamespace(**{**vars(time), "sleep": lambda seconds: time.sleep(seconds / 50)})


def main() -> None:
    """Answer each line until there are no more."""
    import traceback

    from yaml_reader.errors import UserError

    answers, sys.stdout = sys.stdout, sys.stderr
    hurry()
    known: dict[str, Callable[..., dict[str, Any]]] = {
        one.__name__: one for one in (rows, model, adapter, tiny_t5, environment)
    }
    for line in sys.stdin:
        given = json.loads(line)
        what, start = given.pop("what"), time.monotonic()
        try:
            found = command(*given["words"]) if what == "command" else known[what](**given)
        except UserError as error:
            found = {"problems": error.problems}
        except Exception:
            found = {"trace": traceback.format_exc()}
        print(json.dumps({**found, "seconds": time.monotonic() - start}), file=answers, flush=True)


if __name__ == "__main__":
    main()
