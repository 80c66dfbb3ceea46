"""A provider's events as the frames of an answer, each awaited in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pentad_common.errors import PentadError
from pentad_llm_gateway.call_record import CallRecord
from pentad_llm_gateway.completion import Event, Finished, Opened
from pentad_llm_gateway.errors import cut_short
from pentad_llm_gateway.pace import Pace
from pentad_llm_gateway.replies import Done, Failed, Frame


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has begun: its first event that the caller will see, and those after it."""

    event: Event
    events: AsyncGenerator[Event, None]
    pace: Pace


async def begin(events: AsyncGenerator[Event, None], call: CallRecord, pace: Pace) -> Begun:
    """Waits for the first event that the caller will see. Closes the stream if there is none.

    A model that thinks shows signs of life meanwhile; the wait for the first token begins anew with each.
    """
    try:
        while True:
            async with pace.first_token():
                event = await anext(events)
            call.see(event)
            if not isinstance(event, Opened):
                return Begun(event, events, pace)
    except BaseException as error:
        await events.aclose()
        if isinstance(error, StopAsyncIteration):
            raise cut_short(call.target.provider.name) from None
        raise


async def frames(begun: Begun, call: CallRecord) -> AsyncGenerator[Frame, None]:
    """The frames of an answer; ends with Done or Failed and raises nothing of the provider's."""
    event = begun.event
    try:
        while not isinstance(event, Finished):
            if not isinstance(event, Opened):
                yield event
            async with begun.pace.next_token():
                event = await anext(begun.events)
            call.see(event)
    except (PentadError, StopAsyncIteration) as caught:
        error = caught if isinstance(caught, PentadError) else cut_short(call.target.provider.name)
        call.end(error.reason)
        yield Failed(error, call.usage, call.cost_micros, call.served())
        return
    finally:
        begun.pace.close()
    call.end()
    yield Done(event.finish_reason, call.usage, call.cost_micros, call.served())
