"""What happens beside the winner's test."""

from __future__ import annotations

import subprocess
import sys

from orchestrator.run.conclude import LIBRARIES


def test_what_the_summary_wants_is_imported_by_then() -> None:
    code = (
        "import sys\n"
        "from orchestrator.run.conclude import LIBRARIES, import_libraries\n"
        "assert not set(LIBRARIES) & sys.modules.keys(), 'each would be there in any case'\n"
        "import_libraries()\n"
        "print(*sorted(set(LIBRARIES) & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == sorted(LIBRARIES)
