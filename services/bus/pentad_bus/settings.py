"""What the bus can be told, beside what every service can."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pentad_bus.limits import Limits
from pentad_bus.retention import Retention
from pentad_common.settings import ServiceSettings

KIB = 1024
MIB = 1024 * KIB


class BusSettings(ServiceSettings):
    """Sizes are bytes, times are seconds."""

    bus_backend: Literal["memory", "redis"] = "memory"
    """Where queues are: in this process, with a journal in SQL, or in Redis, shared by several processes."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """Redis 7 or later, or Valkey; a cluster is recognised. Only for backend redis."""
    bus_lease_seconds: float = Field(default=5.0, ge=1)
    """Backend redis: a bus process that was silent for so long counts as dead, and others get what it had."""
    journal_url: str = ""
    """Where messages are kept. Empty: in `database_url`. A SQLite file of its own keeps other writers out of
    the way.
    """
    journal_sync: Literal["normal", "full"] = "normal"
    """SQLite: what is confirmed survives the end of the process (normal), or a power cut too (full, slower).
    """
    bus_max_message_bytes: int = Field(default=MIB, ge=KIB, le=3 * MIB)
    """The largest encoded message. A frame with one must fit into `max_message_bytes`."""
    bus_ack_wait_seconds: float = Field(default=30.0, gt=0)
    bus_max_attempts: int = Field(default=5, ge=1)
    bus_retry_backoff_seconds: float = Field(default=1.0, ge=0)
    """Wait before the second delivery of what was given back; doubles each time, up to a minute."""
    bus_dedup_window_seconds: float = Field(default=120.0, ge=0)
    bus_dedup_max_ids: int = Field(default=500_000, ge=1)
    """More than this many ids within the window shorten it: they are kept in memory, about 150 bytes each."""
    bus_max_hops: int = Field(default=32, ge=1)
    bus_max_queue_messages: int = Field(default=1_000_000, ge=1)
    """Of one inbox."""
    bus_max_queue_bytes: int = Field(default=512 * MIB, ge=1)
    """Of one inbox."""
    bus_queue_overflow: Literal["reject", "drop_oldest"] = "reject"
    """What a full inbox does whose agent did not say: refuse what comes, or drop the oldest."""
    bus_tenant_messages_per_second: float = Field(default=0.0, ge=0)
    """What one tenant may publish, with bursts of a second's worth. 0: no bound."""
    bus_tenant_queued_bytes: int = Field(default=0, ge=0)
    """What all inboxes of one tenant may hold. 0: no bound but that of each inbox."""
    bus_instance_linger_seconds: float = Field(default=300.0, ge=0)
    """How long the inbox of an instance that is gone waits for it to come back."""
    bus_history_days: float = Field(default=30.0, gt=0)
    bus_history_max_messages: int = Field(default=5_000_000, ge=1)
    bus_history_max_bytes: int = Field(default=0, ge=0)
    """Of the encoded messages of all tenants, without indexes. 0: no bound."""
    bus_dead_letter_days: float = Field(default=30.0, gt=0)
    bus_dead_letter_max: int = Field(default=1_000_000, ge=1)
    """Of all tenants."""
    bus_sweep_seconds: float = Field(default=60.0, gt=0)

    def retention(self) -> Retention:
        """What of it is the sweep's."""
        return Retention(
            history=self.bus_history_days * 86400,
            messages=self.bus_history_max_messages,
            size=self.bus_history_max_bytes,
            dead_age=self.bus_dead_letter_days * 86400,
            dead_letters=self.bus_dead_letter_max,
        )

    def limits(self) -> Limits:
        """What of it is the broker's."""
        return Limits(
            max_message_bytes=self.bus_max_message_bytes,
            ack_wait=self.bus_ack_wait_seconds,
            max_attempts=self.bus_max_attempts,
            retry_backoff=self.bus_retry_backoff_seconds,
            dedup_window=self.bus_dedup_window_seconds,
            dedup_max_ids=self.bus_dedup_max_ids,
            max_hops=self.bus_max_hops,
            max_queue_messages=self.bus_max_queue_messages,
            max_queue_bytes=self.bus_max_queue_bytes,
            queue_overflow=self.bus_queue_overflow,
            tenant_messages_per_second=self.bus_tenant_messages_per_second,
            tenant_queued_bytes=self.bus_tenant_queued_bytes,
            instance_linger=self.bus_instance_linger_seconds,
        )
