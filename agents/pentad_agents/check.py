"""`python -m pentad_agents.check FILE`: tries a file in a process of its own and prints what is in it as one
JSON object.

The host does this before it imports a new or changed file, so that nothing the file does when it is imported
(an endless loop, `os._exit()`, a crash) can touch the host. Useful by hand, too. Exit code 0: usable; 1: not,
with the reason.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from pentad_agents.importing import FileError, import_file, siblings
from pentad_agents.inspection import InvalidAgent, create, describe, find_agents

NICE = 5  # a file that computes at import must not slow the host down


def check(file: Path) -> dict[str, Any]:
    """What is in the file: `{"agents": [spec, …], "files": [path, …]}`. Raises FileError."""
    module = import_file(file)
    classes = find_agents(module)
    if not classes:
        raise FileError("NO_AGENT", f"{file.name} defines no class that inherits pentad_agents.BaseAgent")
    specs = []
    for cls in classes:
        try:
            specs.append(describe(cls, file.stem))
            create(cls)
        except InvalidAgent as error:
            raise invalid(error) from error
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise FileError("DUPLICATE_NAME", f"{file.name} defines agent {name!r} more than once")
    return {"agents": [spec.as_json() for spec in specs], "files": [str(path) for path in siblings(module)]}


def invalid(error: InvalidAgent) -> FileError:
    """The error with its line, and the traceback where the agent's own code failed."""
    cause = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
    where = f"line {error.line}: " if error.line else ""
    return FileError("INVALID_AGENT", f"{where}{error}", cause, error.line)


def main() -> int:
    """Checks the file named on the command line. What the file itself prints goes to standard error."""
    if len(sys.argv) != 2:
        print("usage: python -m pentad_agents.check FILE", file=sys.stderr)
        return 2
    answer = os.dup(1)
    os.dup2(2, 1)
    os.nice(NICE)
    try:
        found: dict[str, Any] = check(Path(sys.argv[1]).absolute())
    except FileError as error:
        found = {"reason": error.reason, "message": error.message, "detail": error.detail, "line": error.line}
    with os.fdopen(answer, "w") as out:
        out.write(json.dumps(found) + "\n")
    code = 1 if "reason" in found else 0
    sys.stderr.flush()
    os._exit(code)  # threads and exit handlers of the file do not matter any more


if __name__ == "__main__":
    main()
