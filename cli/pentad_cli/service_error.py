"""What services answer, as the command line tells it."""

from __future__ import annotations

from pentad_cli.failure import CliError, Exit
from pentad_client.errors import Code, PentadError

_HINTS = {
    "SERVICE_UNREACHABLE": "`pentad status` shows what runs; `pentad up --detach` starts it.",
    "API_KEY_MISSING": "Set PENTAD_API_KEY, or start Pentad with `pentad up --detach`.",
    "API_KEY_INVALID": "PENTAD_API_KEY, if it is set, is used instead of the key of the running Pentad.",
    "API_KEY_REVOKED": "PENTAD_API_KEY, if it is set, is used instead of the key of the running Pentad.",
}


def from_service(error: Exception) -> CliError | None:
    """The error of a service as one of the command line; None for any other exception."""
    if not isinstance(error, PentadError):
        return None
    code = Exit.USAGE if error.code is Code.INVALID_ARGUMENT else Exit.FAILED
    return CliError(error.reason, _text(error), _HINTS.get(error.reason, ""), code)


def _text(error: PentadError) -> str:
    rules = [f"{field}: {rule}" for field, rule in error.violations if rule not in error.message]
    return "; ".join([error.message.rstrip("."), *rules])
