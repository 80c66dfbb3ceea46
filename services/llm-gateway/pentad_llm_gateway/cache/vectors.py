"""Vectors that are kept."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptVectors:
    """Vectors, and the model that made them."""

    values: Sequence[Sequence[float]]
    provider: str
    model: str

    def encode(self) -> bytes:
        """As bytes: a line of JSON, then the numbers in eight bytes each, as this machine writes them."""
        lengths = [len(vector) for vector in self.values]
        head = {"lengths": lengths, "provider": self.provider, "model": self.model}
        return (
            json.dumps(head).encode()
            + b"\n"
            + b"".join(array("d", vector).tobytes() for vector in self.values)
        )

    @classmethod
    def decode(cls, data: bytes) -> KeptVectors | None:
        """The vectors in bytes; None if they are of another version."""
        head, _, numbers = data.partition(b"\n")
        try:
            kept = json.loads(head)
            flat = array("d", numbers)
            ends = [sum(kept["lengths"][: place + 1]) for place in range(len(kept["lengths"]))]
            if not ends or ends[-1] != len(flat):
                return None
            values = [flat[end - size : end] for end, size in zip(ends, kept["lengths"], strict=True)]
            return cls(values, kept["provider"], kept["model"])
        except (ValueError, KeyError, TypeError):
            return None
