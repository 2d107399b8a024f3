"""MBPP: short Python functions, written from a sentence and three examples, and scored by running their tests.

The published runs on MBPP (LoPA's, which ADePT's are read as) take the rows of MBXP (`mbpp_release_v1.jsonl`): a
prompt that is the head of a function with a docstring, and the body as its answer. These are made here from MBPP's own
rows, in the same form: 956 of the 974 are equal to the character. Most others differ since MBXP's own would fail their
tests: what these need of the solution beside the function, such as a class, stands in the prompt here.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trials.tasks.base import Examples, Row, Task
from trials.tasks.targets import BETWEEN, Code

STOPS = ("\ndef", "\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n<|/", "\n```")
"""What ends an answer: the body is over where something stands at the left margin (LoPA's `utils/config.py`)."""


@dataclass(frozen=True)
class Problem:
    """One row of MBPP, as a function to complete.

    Attributes:
        prompt: the function's head and docstring, after what the tests need beside it.
        solution: the reference body; what stood outside of the function stands in it.
        tests: statements, each of which has to hold.
        setup: statements before them.
        names: what these use of the program's.
    """

    prompt: str
    solution: str
    tests: tuple[str, ...]
    setup: str
    names: tuple[str, ...]

    @classmethod
    def of(cls, row: Row) -> Problem:
        """The problem of a row. Raises ValueError where its code is none, or not what its tests call."""
        code, setup = (row[name].replace("\r\n", "\n") for name in ("code", "test_setup_code"))
        tests = tuple(test.strip() for test in row["test_list"])
        tree = _parsed(code)
        names = _shared(tree, [setup, *tests])
        functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        entry = next((name for name in names if name in functions), None)
        if entry is None:
            raise ValueError("its code defines no function that its tests call")
        function, lines = functions[entry], code.split("\n")
        own = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
        # What the tests need, and variables that would hide an argument of the same name, stay outside.
        needed = [node for node in tree.body if node is not function and _defined(node) & {*names, *own}]
        head, rest, body = _parts(function, lines)
        unit = body[0][: len(body[0]) - len(body[0].lstrip())] if body else "    "
        outside = [number for node in (*needed, function) for number in range(*_span(node))]
        before = [unit + line for n, line in enumerate(lines[: _span(function)[0]]) if n not in outside]
        behind = lines[_span(function)[1] :]
        after = [unit + line for line in behind if line.strip()]  # where a stop would cut it off
        classes = "".join("\n".join(lines[slice(*_span(node))]).rstrip() + "\n\n\n" for node in needed)
        docstring = "\n".join(unit + line for line in ['"""', row["text"], *_examples(tests), '"""'])
        solution = "\n".join([*before, *after, unit + rest, *body, *([] if after else behind)])
        setup = "\n".join([*_imports(tree, tests), *([setup] if setup else [])])
        return cls(f"\n\n{classes}{head}\n{docstring}\n", solution, tests, setup, names)

    @property
    def check(self) -> str:
        """What an answer is scored by, as JSON (`trials.sandbox.run.Check.of`)."""
        parts = {"prompt": self.prompt, "tests": self.tests, "setup": self.setup, "names": self.names}
        return json.dumps(parts, ensure_ascii=False)


def example(row: Row) -> Iterator[Row]:
    """A row's prompt, and what its answers are scored by."""
    problem = Problem.of(row)
    yield {"prompt": problem.prompt, "check": problem.solution + BETWEEN + problem.check}


def _shared(tree: ast.Module, tests: Sequence[str]) -> tuple[str, ...]:
    """The functions and classes of the code that tests use, in the order of their use."""
    defining = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    own = {name for node in defining for name in _defined(node)}
    return tuple(name for name in _used(tests) if name in own)


def _imports(tree: ast.Module, tests: Sequence[str]) -> list[str]:
    """The code's imports of what its tests use."""
    used = _used(tests)
    found = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return [ast.unparse(node) for node in found if {a.asname or a.name.partition(".")[0] for a in node.names} & {*used}]


def _used(tests: Sequence[str]) -> dict[str, None]:
    return dict.fromkeys(node.id for node in ast.walk(_parsed("\n".join(tests))) if isinstance(node, ast.Name))


def _defined(node: ast.stmt) -> set[str]:
    """The names that a statement at the left margin binds, but for imports."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _span(node: ast.stmt) -> tuple[int, int]:
    """Its lines, from 0, the last one excluded."""
    return node.lineno - 1, node.end_lineno or node.lineno


def _parts(function: ast.FunctionDef, lines: Sequence[str]) -> tuple[str, str, list[str]]:
    """(head up to the colon, what follows it on its line, the lines of the body)."""
    start, end = _span(function)
    first = function.body[0].lineno - 1
    text = "\n".join(lines[start:first]) if first > start else lines[start][: function.body[0].col_offset]
    colon = text.rindex(":") + 1
    rest = text[colon:] if first > start else lines[start][function.body[0].col_offset :]
    return text[:colon], rest, list(lines[max(first, start + 1) : end])


def _parsed(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code spells regular expressions without r""
            return ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"its code is not Python ({error})") from error


def _examples(tests: Sequence[str]) -> Iterator[str]:
    """Tests as a docstring shows them: the call, and below it the value."""
    for test in tests:
        made = _parsed(test).body[0]
        compared = made.test if isinstance(made, ast.Assert) else None
        if isinstance(compared, ast.Compare) and isinstance(compared.ops[0], ast.Eq):
            left = ast.get_source_segment(test, compared.left) or ""
            yield f">>> {left}"
            yield test[test.index(left) + len(left) :].partition("==")[2].strip()


TASKS: tuple[Task, ...] = (
    Task(
        name="mbpp",
        title="MBPP",
        template="{prompt}",
        separator="",
        target=Code(max_length=256, stops=STOPS),
        split="halves",
        # The published runs train on all 487 rows of the first half and take the last checkpoint; a search has to
        # choose, and the second half is the test.
        sizes=(390, 97, 487),
        max_source_length=325,
        examples=Examples(example, reads=("text", "code", "test_setup_code", "test_list"), texts=("text", "code")),
        hub=("google-research-datasets/mbpp", "full"),
        revision="4bb6404fdc6cacfda99d4ac4205087b89d32030c",
        joined=("prompt", "test", "validation", "train"),  # in the order of their task_id: 1, 11, 511, 601
        folder="mbpp",
        published_as="mbpp",
    ),
)
