"""Pentad's own client: what is behind the bus is not its affair."""

from __future__ import annotations

from benchmarks.bus.clients.pentad import Consumer, Producer, prepare

__all__ = ["Consumer", "Producer", "prepare"]
