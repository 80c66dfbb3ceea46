"""Who fits and who is best: pure functions over cards and leases."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pentad_registry.model import Agent, Card, Lease, Load, Reservation, Selector, Status

SECONDS_LIKE_FULL = 10.0
"""An oldest task that has waited this long weighs as much as all places being taken."""


def fits(card: Card, selector: Selector) -> bool:
    """Whether the card has everything the selector wants of a card: name, capabilities, not excluded."""
    named = not selector.name or card.name == selector.name
    return named and card.name not in selector.exclude and selector.capabilities <= set(card.capabilities)


def has_labels(lease: Lease, selector: Selector) -> bool:
    """Whether the instance carries all labels wanted."""
    return all(lease.labels.get(key) == value for key, value in selector.labels.items())


def instance_fits(lease: Lease, selector: Selector) -> bool:
    """Whether the instance's own version of the card, and its labels, are what is wanted."""
    return fits(lease.card, selector) and has_labels(lease, selector)


def used(lease: Lease, now: float) -> int:
    """Places that are taken or kept."""
    return lease.load.in_flight + lease.reserved(now)


def busyness(lease: Lease, now: float) -> float:
    """0 is idle, 1 is full; waiting tasks make it more."""
    return used(lease, now) / lease.load.capacity + lease.load.queue_age / SECONDS_LIKE_FULL


def has_room(lease: Lease, now: float) -> bool:
    """Whether it can take one more. A suspect one may: perhaps only a heartbeat was late."""
    if lease.status(now) not in (Status.ACTIVE, Status.SUSPECT) or lease.drain_ordered:
        return False
    ready = lease.reported is Status.ACTIVE
    return ready and used(lease, now) < lease.load.capacity


def choose(leases: Iterable[Lease], selector: Selector, now: float) -> Lease | None:
    """The instance to give work to, out of those that fit; None if none has room.

    More wanted tags come first, as in `rank`; among equals the least busy, then the one with more places,
    then the one that was not picked for longest.
    """
    ready = [lease for lease in leases if has_room(lease, now)]
    return min(ready, key=lambda lease: _choice_key(lease, selector, now), default=None)


def _choice_key(lease: Lease, selector: Selector, now: float) -> tuple[object, ...]:
    return (
        lease.status(now) is Status.SUSPECT,
        -_wanted_tags(lease.card, selector),
        busyness(lease, now),
        -lease.load.capacity,
        lease.picked_time,
        lease.agent,
        lease.instance,
    )


def rank(agents: Iterable[Agent], selector: Selector, now: float) -> list[Agent]:
    """The agents that fit, best first: with a live instance, then more wanted tags, then the less busy."""
    found = [agent for agent in agents if fits(agent.card, selector) and _has_labelled(agent, selector)]
    return sorted(found, key=lambda agent: _rank_key(agent, selector, now))


def _has_labelled(agent: Agent, selector: Selector) -> bool:
    return not selector.labels or any(has_labels(lease, selector) for lease in agent.instances)


def _rank_key(agent: Agent, selector: Selector, now: float) -> tuple[object, ...]:
    loads = [busyness(lease, now) for lease in agent.instances if has_labels(lease, selector)]
    return not agent.instances, -_wanted_tags(agent.card, selector), min(loads, default=0.0), agent.card.name


def _wanted_tags(card: Card, selector: Selector) -> int:
    return len(selector.tags & set(card.tags))


def taken_up(lease: Lease, load: Load, now: float) -> tuple[Reservation, ...]:
    """The reservations after a load report: the oldest ones are for the work that is new in flight.

    Without this, work that was reserved for and has begun would count twice until its reservation ends.
    """
    begun = max(0, load.in_flight - lease.load.in_flight)
    kept = []
    for item in lease.reservations:
        if item.expire_time <= now:
            continue
        if begun and not item.taken_up:
            kept.append(replace(item, taken_up=True))
            begun -= 1
        else:
            kept.append(item)
    return tuple(kept)
