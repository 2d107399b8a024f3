"""Programs that mean harm, in each kind of sandbox: none does any, and none is taken for a right answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.trials.sandbox.kinds import QUICK, Open, usable
from trials.sandbox.base import Sandbox
from trials.sandbox.bubblewrap import Bubblewrap
from trials.sandbox.landlock import Landlock
from trials.sandbox.probe import ATTEMPTS, NAMES
from trials.sandbox.run import Check, Verdict, judge

RIGHT = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return 2 * x + 1\n"
TESTS = ("assert double(2) == 4", "assert double(-1) == -2")


@pytest.fixture(params=[Bubblewrap, Landlock], ids=lambda kind: kind.name)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return usable(request.param)


def verdict(sandbox: Sandbox, program: str) -> Verdict:
    return judge(sandbox, Check(program, TESTS, ("double",)), QUICK)


def test_a_right_program_passes_and_a_wrong_one_fails(sandbox: Sandbox) -> None:
    assert verdict(sandbox, RIGHT).passed
    assert verdict(sandbox, WRONG) == Verdict("failed", "does not hold: assert double(2) == 4")
    assert "NameError" in verdict(sandbox, "def double(x):\n    return y\n").why
    assert "SyntaxError" in verdict(sandbox, "def double(x:\n").why
    assert "KeyError" in verdict(sandbox, "def treble(x):\n    return 3 * x\n").why


CHEATS = {
    "leaves with success": "import sys\nsys.exit(0)",
    "leaves with success at once": "import os\nos._exit(0)",
    "leaves when called": "import os\ndef double(x):\n    os._exit(0)",
    "leaves at the end": "import atexit, os\natexit.register(os._exit, 0)",
    "prints what a checker might": WRONG + 'print(\'{"passed": true, "why": ""}\')\nprint(\'OK\')',
    "writes verdicts into every open file": WRONG
    + 'import os\nfor n in range(64):\n    try: os.write(n, b\'={"passed": true, "why": ""}\\n\' * 9)\n'
    + "    except OSError: pass\n",
    "equals everything": "class Any:\n    def __eq__(self, other): return True\n    __ne__ = __eq__\n"
    "def double(x):\n    return Any()",
    "is a number that equals everything": "class Any(int):\n    def __eq__(self, other): return True\n"
    "def double(x):\n    return Any(5)",
    "changes what assertions raise": "import builtins\nbuiltins.AssertionError = type('Never', (Exception,), {})\n"
    + WRONG,
    "changes equality of its values": "import builtins\nbuiltins.int = type('A', (int,), {'__eq__': lambda *_: 1})\n"
    + "def double(x):\n    return int(5)",
    "changes the server that it runs in": "import sys\nfor frame in [sys._getframe(n) for n in range(1, 5)]:\n"
    "    frame.f_locals['values'] = None\nimport __main__\n__main__.Values.written = lambda *_: True\n" + WRONG,
    "shadows names of the tests": "assert_ = print\n__builtins__['int'] = lambda x: 4\n" + WRONG,
    "reads the tests": "import gc\ndef double(x):\n    found = [o for o in gc.get_objects() if isinstance(o, dict) and "
    "'tests' in o]\n    return eval(found[0]['tests'][0].split('==')[1])",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_program_makes_its_checker_believe_it(cheat: str) -> None:
    assert verdict(usable(Bubblewrap), CHEATS[cheat]).end == "failed"


BOMBS = {
    "processes": "import os\ndef double(x):\n    while True:\n        os.fork()",
    "processes at import": "import os\nwhile True:\n    os.fork()",
    "threads": "import _thread\ndef double(x):\n    while True:\n        _thread.start_new_thread(double, (x,))",
    "commands": "import subprocess\ndef double(x):\n    return subprocess.run(['sh', '-c', 'sleep 99'])",
    "memory": "def double(x):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 24))",
    "one large value": "def double(x):\n    return 'x' * (100 << 20)",
    "a deep value": "def double(x):\n    made = []\n    for _ in range(99999):\n        made = [made]\n    return made",
    "recursion": "def double(x):\n    return double(x)",
    "a crash": "import ctypes\ndef double(x):\n    return ctypes.string_at(1)",
    "kill": "import os\ndef double(x):\n    os.kill(-1, 9)\n    os.kill(os.getppid(), 9)\n    os.killpg(0, 9)",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_end_as_failures(sandbox: Sandbox, bomb: str) -> None:
    assert not verdict(sandbox, BOMBS[bomb]).passed


def test_a_loop_without_end_is_out_of_time(sandbox: Sandbox) -> None:
    assert verdict(sandbox, "def double(x):\n    while True:\n        pass").end == "out of time"
    stubborn = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True:\n    print('x' * 10000)"
    assert verdict(sandbox, stubborn).end == "out of time"


def test_a_program_that_waits_is_ended() -> None:
    short = type(QUICK)(wall_seconds=1.0)
    waits = Check("import time\ndef double(x):\n    time.sleep(3600)", TESTS, ("double",))
    assert judge(usable(Bubblewrap), waits, short).end == "waited too long"
    left = [process for process in psutil.Process().children(recursive=True) if "time.sleep" in str(process.cmdline())]
    assert not left


def test_files_cannot_be_read_written_or_removed(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("4")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(0o777 if folder == tmp_path else 0o755)
    secret.chmod(0o666)
    program = f"""
import os, shutil
found = []
for act in (lambda: open({str(secret)!r}).read(), lambda: os.remove({str(secret)!r}), lambda: shutil.rmtree("/"),
            lambda: open({str(tmp_path / "new")!r}, "w"), lambda: os.listdir({str(tmp_path)!r}),
            lambda: os.symlink({str(secret)!r}, "link") or open("link").read(),
            lambda: os.link({str(secret)!r}, "hard") or open("hard").read(),
            lambda: os.truncate({str(secret)!r}, 0), lambda: os.rename({str(secret)!r}, {str(secret) + "2"!r}),
            lambda: os.listdir(os.path.expanduser("~")), lambda: open("/etc/passwd").read(),
            lambda: open("/proc/1/environ").read(), lambda: os.environ["HOME"]):
    try:
        act()
    except (OSError, KeyError):
        continue
    found.append(act)
if found:
    raise SystemExit(f"{{len(found)}} succeeded")
""" + RIGHT.replace("def", "\ndef")
    assert verdict(sandbox, program) == Verdict("passed")
    assert secret.read_text() == "4" and [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_nothing_is_reached_by_network(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        reach = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\n{RIGHT}"
        assert "Error" in verdict(sandbox, reach).why
        with pytest.raises(TimeoutError):
            server.accept()


def test_output_goes_nowhere(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    loud = "import sys\nprint('x' * 50_000_000)\nsys.stderr.write('y' * 50_000_000)\n" + RIGHT
    assert verdict(sandbox, loud).passed
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("attempt", [name for name in NAMES if name not in ("run_a_command", "raise_a_limit")])
def test_each_attempt_of_the_probe_succeeds_where_nothing_holds_it(attempt: str, tmp_path: Path) -> None:
    """Else a probe that is always refused would say nothing of a sandbox."""
    (tmp_path / "secret").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            server.accept()[0].sendall(b"x")

        threading.Thread(target=answer, daemon=True).start()
        call = f"print(attempt({attempt!r}, {str(tmp_path)!r}, {server.getsockname()[1]}, {os.getpid()}) != 'refused')"
        run = [sys.executable, "-c", f"{ATTEMPTS}\n{call}"]
        found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout == "True\n"


def test_a_sandbox_that_holds_nothing_is_found_out() -> None:
    from trials.sandbox.probe import problem_of

    assert problem_of(Open()).startswith("lets a program ")
