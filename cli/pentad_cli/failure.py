"""What ends a command: one line for people, a reason for programs, an exit code for scripts."""

from __future__ import annotations

import json
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class CliError(Exception):
    """A command cannot go on.

    `message`: what happened. `hint`: what to do, or "". `reason`: UPPER_SNAKE_CASE. `code`: the exit code.
    """

    def __init__(self, reason: str, message: str, hint: str = "", code: int = Exit.FAILED) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint
        self.code = int(code)

    def text(self) -> str:
        """For people: the message, and the hint on a line of its own."""
        lines = [f"error: {self.message}"]
        return "\n".join([*lines, *(f"       {line}" for line in self.hint.splitlines())])

    def json(self) -> str:
        """For programs: one JSON object on one line."""
        error = {"reason": self.reason, "message": self.message}
        if self.hint:
            error["hint"] = self.hint
        return json.dumps({"error": error}, ensure_ascii=False)


class UsageProblem(CliError):
    """The command was called in a way that cannot work; exit code 2."""

    def __init__(self, message: str, hint: str = "", reason: str = "BAD_USAGE") -> None:
        super().__init__(reason, message, hint, Exit.USAGE)
