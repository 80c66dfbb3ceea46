"""Requests that no client of ours would make: each RPC refuses them by the book, and its service lives."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

from tests.fixtures.postgres import Postgres
from tests.fixtures.rpcs import DEADLINE, RPCS, Answer, Rpc
from tests.integration.orchestrator_house import House, house

TEXTS = [
    "\0",
    "a\0b",
    "é" * 40,
    "'; --",
    "../../etc/passwd",
    "x" * 5000,
    "-1",
    "\u202e",
    "*",
    "9" * 30,
    "bnVsbA",
]
INTEGERS = [0, -1, 1, 2**31 - 1, -(2**31)]
LONG_INTEGERS = [*INTEGERS, 2**63 - 1, -(2**63), 10**18]
VALUES: dict[int, list[Any]] = {
    Field.TYPE_STRING: TEXTS,
    Field.TYPE_BYTES: [b"", b"\0\xff", b"x" * 300_000],
    Field.TYPE_BOOL: [True, False],
    Field.TYPE_INT32: INTEGERS,
    Field.TYPE_INT64: LONG_INTEGERS,
    Field.TYPE_UINT64: [0, 1, 2**64 - 1],
    Field.TYPE_DOUBLE: [0.0, float("nan"), float("inf"), -1.0, 1e308],
    Field.TYPE_ENUM: [0, 1, 2, 3, 99, -1],
}
DEEPEST = 5
ATTEMPTS = 8
GARBAGE = [b"\xff" * 20, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 2000]
FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}


@pytest.fixture(scope="module")
def home(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All five services on PostgreSQL, which is choosier than SQLite."""
    folder = tmp_path_factory.mktemp("hostile")
    with postgres_server.clone() as name:
        url = postgres_server.url(name)
        with house(folder, url, "orchestrator", "context", "llm", journal_url=url) as made:
            yield made
            for service, process in made.processes.items():
                assert process.poll() is None, made.log(service)


@pytest.fixture(scope="module")
def key(home: House) -> str:
    """An admin may call everything."""
    return home.key("hostile")


@pytest.fixture
def channels(home: House) -> Iterator[dict[str, grpc.Channel]]:
    """A channel to each service."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
            for name, port in home.ports.items()
        }


def filled(message: Any, chance: random.Random, depth: int = 0) -> Any:
    """The message with hostile values in about half of its fields."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.5 or depth > DEEPEST:
            continue
        count = chance.choice([1, 2]) if field.is_repeated else 1
        if field.message_type is None:
            values = [chance.choice(VALUES[field.type]) for _ in range(count)]
            getattr(message, field.name).extend(values) if field.is_repeated else setattr(
                message, field.name, values[0]
            )
        elif not field.message_type.GetOptions().map_entry:
            fill_inner(message, field, count, chance, depth)
    return message


def fill_inner(message: Any, field: Any, count: int, chance: random.Random, depth: int) -> None:
    inner = getattr(message, field.name)
    for _ in range(count):
        part: Message = inner.add() if field.is_repeated else inner
        part.SetInParent()
        filled(part, chance, depth + 1)


def may_last(rpc: Rpc) -> bool:
    """Whether a good call can take longer than a test waits: a stream, or one that a model works on."""
    return bool(rpc.method.server_streaming) or rpc.name in ("Invoke", "Embed")


def check(rpc: Rpc, answer: Answer, asked: object) -> None:
    """It went well, or was refused with a reason of ours, and in time."""
    said = f"{rpc.path}: {answer.code} {answer.reason} {answer.text[:200]} for {str(asked)[:300]}"
    assert answer.code not in FAULTS, said
    if answer.code is DEADLINE:
        assert may_last(rpc), said
    elif answer.code is not grpc.StatusCode.OK:
        assert answer.domain == "pentad.dev" and answer.reason, said


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_values_beyond_all_bounds(rpc: Rpc, channels: dict[str, grpc.Channel], key: str) -> None:
    """NUL in text, endless times, numbers at their limits: refused with a reason, never INTERNAL."""
    chance = random.Random(rpc.path)
    for _ in range(ATTEMPTS):
        requests = [filled(rpc.request(), chance) for _ in range(3)]
        seconds = 0.3 if may_last(rpc) else 10.0
        check(rpc, rpc.call(channels[rpc.service], key, requests, seconds), requests[0])


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_bytes_that_are_no_message(rpc: Rpc, channels: dict[str, grpc.Channel], key: str) -> None:
    """Malformed protobuf is an invalid argument."""
    for data in GARBAGE:
        answer = rpc.call(channels[rpc.service], key, [data], 10.0)
        check(rpc, answer, data)
        assert answer.code is grpc.StatusCode.INVALID_ARGUMENT, rpc.path
