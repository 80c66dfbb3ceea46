"""The error with which an agent says why it could not do a task."""

from __future__ import annotations


class AgentError(Exception):
    """The task cannot be done, for a reason that people and programs can tell.

    `reason`: stable, UPPER_SNAKE_CASE. `message`: one or two sentences: what is wrong and what to do.
    `retryable`: whether the same task may succeed later; then `retry_after` is the least number of seconds to
    wait first. Other keywords are the variables of the error.

    Any other exception that leaves `execute()` is reported as AGENT_FAILED and tried again.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        retryable: bool = False,
        *,
        retry_after: float = 0.0,
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after
        self.metadata = {key: str(value) for key, value in metadata.items()}
