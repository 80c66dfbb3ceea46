"""The bounds and periods that the broker keeps to."""

from __future__ import annotations

from dataclasses import dataclass

from pentad_bus.policy import Overflow

LONGEST_BACKOFF = 60.0
MOST_BATCH_MESSAGES = 256
MOST_BATCH_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds; `BusSettings` says what each is for."""

    max_message_bytes: int = 1024 * 1024
    ack_wait: float = 30.0
    max_attempts: int = 5
    retry_backoff: float = 1.0
    dedup_window: float = 120.0
    dedup_max_ids: int = 500_000
    max_hops: int = 32
    max_queue_messages: int = 1_000_000
    max_queue_bytes: int = 512 * 1024 * 1024
    queue_overflow: Overflow = "reject"
    tenant_messages_per_second: float = 0.0
    tenant_queued_bytes: int = 0
    instance_linger: float = 300.0

    def backoff(self, attempts: int) -> float:
        """The wait after `attempts` deliveries: doubles each time, up to a minute."""
        return float(min(self.retry_backoff * 2 ** (attempts - 1), LONGEST_BACKOFF))
