"""Notices that the catalog's file changed, and puts it into force if it is right."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pentad_common.errors import StartupError
from pentad_common.telemetry import get_logger
from pentad_llm_gateway.catalog import located, parse_catalog, read_catalog
from pentad_llm_gateway.generation import Generations
from pentad_llm_gateway.metrics import CATALOG_REFUSED, CATALOG_RELOADS

log = get_logger(__name__)

Stamp = tuple[int, int, int, int] | None


class CatalogWatch:
    """Looks once every `seconds`. A change counts when two looks in a row saw the same, so that a file is not
    read while it is written."""

    def __init__(self, path: str, generations: Generations, seconds: float = 0.5) -> None:
        self._path = path
        self._generations = generations
        self._seconds = seconds
        self._text = read_catalog(path)
        self._stamp = stamp(path)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Within the block the file is watched, if there is one."""
        if not self._path:
            yield
            return
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        seen = self._stamp
        while True:
            await asyncio.sleep(self._seconds)
            now = await asyncio.to_thread(stamp, self._path)
            if now == seen and now != self._stamp:
                self._stamp = now
                await self._reload()
            seen = now

    async def _reload(self) -> None:
        try:
            text = await asyncio.to_thread(read_catalog, self._path)
            if text == self._text and not self._generations.problem:
                return
            catalog = await asyncio.to_thread(parse_catalog, text, self._path)
            with located(text, self._path):
                self._generations.replace(catalog)
        except StartupError as error:
            self._generations.problem = str(error)
            CATALOG_RELOADS.labels("refused").inc()
            CATALOG_REFUSED.set(1)
            log.error("catalog refused; the one before stays in force", problem=str(error))
        except Exception as error:
            log.exception("catalog could not be read", error=type(error).__name__)
        else:
            self._text = text
            self._generations.problem = ""
            CATALOG_RELOADS.labels("in_force").inc()
            CATALOG_REFUSED.set(0)
            log.info("catalog in force", path=self._path)


def stamp(path: str) -> Stamp:
    """What changes when a file does, or the link that leads to it; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
