"""Bodies in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from pentad_common.errors import Cancelled, DeadlineExceeded, InvalidArgument
from pentad_llm_gateway.cache.base import CachePolicy
from pentad_llm_gateway.http.errors import invalid

_SECONDS = 60.0
_MOST_AGE_SECONDS = 30 * 86_400


async def read_body(request: web.Request) -> bytes:
    """The body. Raises InvalidArgument BODY_TOO_LARGE, DeadlineExceeded DEADLINE_EXCEEDED for one that does
    not come."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise InvalidArgument(
            "BODY_TOO_LARGE", f"the body is larger than the {request.client_max_size} bytes that are taken"
        ) from error
    except TimeoutError:
        raise DeadlineExceeded("DEADLINE_EXCEEDED", f"the body did not come within {_SECONDS:g} s") from None


def cache_policy(request: web.Request) -> CachePolicy:
    """What the call may take from the gateway's cache and leave there, by HTTP's own words for it:
    `cache-control: no-cache`, `no-store`, and `max-age` for how long an answer shall be kept. Raises
    InvalidArgument INVALID_REQUEST."""
    words = {word.strip().lower() for word in request.headers.get("cache-control", "").split(",")}
    ages = [word.partition("=")[2] for word in words if word.startswith("max-age=")]
    if ages and not (ages[0].isdecimal() and 0 < int(ages[0]) <= _MOST_AGE_SECONDS):
        raise invalid("cache-control", f"max-age is from 1 to {_MOST_AGE_SECONDS} seconds")
    return CachePolicy("no-cache" in words, "no-store" in words, float(ages[0]) if ages else None)


@contextmanager
def written() -> Iterator[None]:
    """Around writing: raises Cancelled CANCELLED when nobody is there to read."""
    try:
        yield
    except ConnectionError:
        raise Cancelled("CANCELLED", "the caller has gone") from None
