"""`python -m benchmarks.gateway.upstream PORT LATENCY_MS TOKEN_MS`: a provider that costs next to nothing.

It speaks OpenAI's chat format. Every answer has as many tokens as `max_tokens` allows and begins after
LATENCY_MS; a streamed one has a token every TOKEN_MS. All answers of a length are the same bytes, made once.
A GET of anything answers how many it has given.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from typing import Any

import uvloop

TOKEN = " token"
"""Its length times the number of tokens is the length of an answer."""


class Upstream(asyncio.Protocol):
    """One connection, one request at a time."""

    answers = 0

    def __init__(self, latency: float, pause: float) -> None:
        self._latency = latency
        self._pause = pause
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Takes in a request, in however many pieces it comes."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self._received = b""
        if head.startswith(b"GET "):
            self._write(plain(str(Upstream.answers)))
            return
        Upstream.answers += 1
        self._later(self._latency, self._answer, json.loads(body))

    def _later(self, seconds: float, act: Any, *arguments: Any) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, act, *arguments)
        else:
            act(*arguments)

    def _answer(self, request: dict[str, Any]) -> None:
        tokens = int(request.get("max_tokens") or request.get("max_completion_tokens") or 64)
        if request.get("stream"):
            self._write(STREAM_HEAD)
            self._token(tokens, end(tokens, bool((request.get("stream_options") or {}).get("include_usage"))))
        else:
            self._write(whole(tokens))

    def _token(self, left: int, last: bytes) -> None:
        self._write(DELTA)
        if left > 1:
            self._later(self._pause, self._token, left - 1, last)
        else:
            self._write(last)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
    return b"data: " + json.dumps(event | {"choices": choices} | fields).encode() + b"\n\n"


def _usage(tokens: int) -> dict[str, Any]:
    return {"prompt_tokens": 64, "completion_tokens": tokens, "total_tokens": 64 + tokens}


def plain(text: str) -> bytes:
    """An answer for people."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%s" % (
        len(text),
        text.encode(),
    )


@functools.cache
def whole(tokens: int) -> bytes:
    """A whole answer, with its head."""
    message = {"role": "assistant", "content": TOKEN * tokens, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "bench"}
    body = json.dumps(answer | {"choices": [choice], "usage": _usage(tokens)}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"x-request-id: req_1\r\n\r\n" + body


@functools.cache
def end(tokens: int, usage: bool) -> bytes:
    """What comes after a stream's last token."""
    events = [_event([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}])]
    if usage:
        events.append(_event([], usage=_usage(tokens)))
    return b"".join(map(_chunk, [*events, b"data: [DONE]\n\n"])) + b"0\r\n\r\n"


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"x-request-id: req_1\r\n\r\n"
)
DELTA = _chunk(_event([{"index": 0, "delta": {"content": TOKEN}, "logprobs": None, "finish_reason": None}]))


async def main(port: int, latency: float, pause: float) -> None:
    """Serves for ever."""
    server = await asyncio.get_running_loop().create_server(
        lambda: Upstream(latency, pause), "127.0.0.1", port
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]) / 1000, float(sys.argv[3]) / 1000))
