"""No form of an address brings a secret into a message, a record or a log, and none with one is taken."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from orchestrator.cli import main
from orchestrator.plan.tracking_uri import resolve_tracking_uri
from orchestrator.record.secrecy import is_secret, shown_address, shown_command, without_secrets
from orchestrator.store.paths import shown
from orchestrator.store.uris import storage_problems

PLANTED = "hunter2"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:p@ss@db.example/mlflow", "postgresql://db.example/mlflow"),
        ("mysql+pymysql://root:x@127.0.0.1:3306/m", "mysql+pymysql://127.0.0.1:3306/m"),
        ("http://u:p@host:5000/path?a=1", "http://host:5000/path?a=1"),
        ("postgresql://db/m?sslpassword=abc&user=me", "postgresql://db/m?sslpassword=removed&user=me"),
        ("--api-key=abc", "--api-key=removed"),
        ("HF_TOKEN=abc", "HF_TOKEN=removed"),
        ("--max-tokens=512", "--max-tokens=512"),
        ("use http://HOST:PORT as joe@host", "use http://HOST:PORT as joe@host"),
        ("C:/a:b@c, at 12:30 by joe@host", "C:/a:b@c, at 12:30 by joe@host"),
        ("http://h:5000/x and s3://b/c: denied, ask me@host", "http://h:5000/x and s3://b/c: denied, ask me@host"),
        ("http://host:5000/#/experiments/1", "http://host:5000/#/experiments/1"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
    ],
)
def test_secrets_are_taken_out_and_nothing_else(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


PASSWORDS = [f"{before}{PLANTED}{after}" for before in ("", "12", "a") for after in ("", "/", "#", "?", "@", ":", "+=")]
PASSWORDS += [f"a{sign}{PLANTED}" for sign in "/#?@:;%&=$![]^ "] + [f"12/{PLANTED}", f"/{PLANTED}/{PLANTED}@/"]
NAMES = ["password", "key", "token", "secret_key", "access_key", "sslpassword", "pass", "PWD", "sig", "pass%77ord"]
SERVERS = ["http", "https", "postgresql", "postgresql+psycopg", "mysql+pymysql", "mssql+pyodbc"]
STORES = ["s3", "gs", "abfs", "hdfs", "file"]


def before_the_host(scheme: str, password: str, tail: str) -> list[str]:
    return [f"{scheme}://joe:{password}@host{tail}", f"{scheme}://:{quote(password, safe='')}@host:5000{tail}"]


def behind_the_path(scheme: str, name: str) -> list[str]:
    inner = f"DRIVER={{x}};SERVER=db;UID=joe;{name}={PLANTED}"
    asked = [f"?{name}={PLANTED}", f"?a=b&{name}={PLANTED}&c=d", f"?a=b;{name}={PLANTED}", f"#{name}={PLANTED}"]
    asked += [f"?odbc_connect={quote_plus(inner)}", f"?odbc_connect={quote(quote(inner))}", f"?at=http://u:{PLANTED}@h"]
    return [f"{scheme}://host/path{tail}" for tail in asked]


FORMS = [
    *itertools.chain(*(before_the_host(*one) for one in itertools.product(SERVERS, PASSWORDS, ("", "/db?a=b")))),
    *itertools.chain(*(behind_the_path(*one) for one in itertools.product([*SERVERS, "sqlite"], NAMES))),
]
STORED = [
    *itertools.chain(*(before_the_host(*one) for one in itertools.product(STORES, PASSWORDS, ("/x", "?a=b")))),
    *itertools.chain(*(behind_the_path(*one) for one in itertools.product(STORES, NAMES))),
]


def test_no_tracking_uri_with_a_secret_is_taken_from_the_command_line_and_none_is_shown() -> None:
    for uri in FORMS:
        _, named, problems = resolve_tracking_uri(uri)
        assert problems, uri
        assert PLANTED not in named + "".join(problems) + shown_address(uri), uri


def test_no_storage_with_a_secret_is_taken_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.store.uris.tried", lambda uri, option: [])
    for uri in STORED:
        problems = storage_problems(uri)
        assert problems, uri
        assert PLANTED not in "".join(problems) + shown(uri), uri


def test_no_command_line_that_is_kept_holds_a_secret() -> None:
    for uri in [*FORMS, *STORED]:
        assert PLANTED not in shown_command(["search", "--tracking-uri", uri, f"--storage={uri}"]), uri


def test_what_others_say_of_an_address_holds_none_of_its_secrets() -> None:
    for uri in [*FORMS, *STORED]:
        for said in (uri, json.dumps(uri), f"no driver for {uri}, nor for {uri}"):
            assert PLANTED not in without_secrets(f"it cannot be read: {said}", uri), uri


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////data/a@b/mlflow.db",
        "http://host:5000",
        "http://[::1]:5000/mlflow",
        "https://host/a/path",
        "postgresql://joe@host:5432/mlflow?sslmode=require&sslkey=/home/joe/key.pem&user=joe",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7Bx%7D%3BSERVER%3Ddb%3BTrusted_Connection%3Dyes",
        "databricks://scope:prefix",
        "databricks",
    ],
)
def test_an_address_without_a_secret_is_taken_and_shown_with_all_that_matters(uri: str) -> None:
    assert resolve_tracking_uri(uri)[2] == []
    assert shown_address(uri) == uri.replace("joe@host", "host")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/a@b?region=us-west-2&endpoint_override=10.0.0.1:8333&scheme=http",
        "gs://bucket/x",
        "abfs://container@account.dfs.core.windows.net/x",
        "hdfs://name:8020/joe/x",
        "hdfs://name/joe@team/x",
        "file:///mnt/a@b:c",
    ],
)
def test_a_storage_without_a_secret_is_taken(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.store.uris.tried", lambda uri, option, **more: [])
    assert storage_problems(uri) == []
    assert shown(uri) == uri.partition("?")[0].replace("container@", "")


def test_names_that_merely_sound_alike_are_no_secrets() -> None:
    assert not [name for name in ("max_tokens", "tokenizer", "user", "region", "sslmode", "seed") if is_secret(name)]


@pytest.mark.parametrize(
    ("option", "uri"),
    [
        ("--tracking-uri", f"postgresql://joe:a/{PLANTED}#@127.0.0.1:1/mlflow"),
        ("--tracking-uri", f"mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{PLANTED}"),
        ("--storage", f"s3://AKIA:a/{PLANTED}@bucket/x"),
        ("--storage", f"s3://bucket/x?key={PLANTED}"),
        ("--backbone", f"https://joe:{PLANTED}@hub/model"),
        ("--task", f"https://joe:{PLANTED}/x@host/task.yaml"),
        ("--data-dir", f"postgresql://joe:a {PLANTED}@host"),
    ],
)
def test_a_plan_refuses_a_secret_as_a_search_does(
    option: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["plan", option, uri])
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.err.startswith("error") and said.out == ""
    assert PLANTED not in said.err
    assert not list(tmp_path.iterdir())
