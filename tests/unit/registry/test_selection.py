"""Ranking and choosing are pure: properties that hold for any loads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pentad_registry.model import Agent, Card, Lease, Load, Reservation, Selector, Status
from pentad_registry.selection import busyness, choose, has_room, rank, taken_up, used

NOW = 1000.0
WORDS = st.sampled_from(["a", "b", "c"])


@st.composite
def leases(draw: st.DrawFn) -> Lease:
    """An instance in any state."""
    name = draw(WORDS)
    return Lease(
        tenant="t",
        card=Card(name, tags=tuple(draw(st.sets(WORDS)))),
        instance=str(draw(st.integers(0, 9))),
        epoch=1,
        ttl=10,
        register_time=NOW,
        heartbeat_time=NOW - draw(st.floats(0, 12)),
        reported=draw(st.sampled_from([Status.ACTIVE, Status.BUSY, Status.STARTING, Status.DRAINING])),
        load=Load(draw(st.integers(0, 5)), draw(st.integers(1, 5)), draw(st.floats(0, 100))),
        reservations=tuple(
            Reservation(str(index), NOW + draw(st.floats(-5, 5)), taken_up=draw(st.booleans()))
            for index in range(draw(st.integers(0, 3)))
        ),
        drain_ordered=draw(st.booleans()),
    )


@given(st.lists(leases()))
def test_chosen_has_room_and_none_is_less_busy(found: list[Lease]) -> None:
    """The choice has room, and no instance as alive as it that has room is less busy."""
    best = choose(found, Selector(), NOW)
    ready = [item for item in found if has_room(item, NOW)]
    assert (best is None) == (not ready)
    if best is not None:
        alike = [item for item in ready if item.status(NOW) is best.status(NOW)]
        assert busyness(best, NOW) == min(busyness(item, NOW) for item in alike)
        assert used(best, NOW) < best.load.capacity


@given(st.lists(leases()), st.sets(WORDS))
def test_rank_order(found: list[Lease], tags: set[str]) -> None:
    """Agents with instances come before those without; within each, more of the wanted tags come first."""
    agents = [Agent(item.card, (item,) if item.load.in_flight % 2 else ()) for item in found]
    ranked = rank(agents, Selector(tags=frozenset(tags)), NOW)
    keys = [(not agent.instances, -len(tags & set(agent.card.tags))) for agent in ranked]
    assert keys == sorted(keys)
    assert len(ranked) == len(agents)


@given(leases(), st.integers(0, 8))
def test_taken_up_by_new_work_only(lease: Lease, in_flight: int) -> None:
    """A report takes up as many reservations as there is new work in flight, and never brings one back."""
    after = taken_up(lease, Load(in_flight, 5), NOW)
    before = [item for item in lease.reservations if item.expire_time > NOW]
    new = max(0, in_flight - lease.load.in_flight)
    counted = sum(not item.taken_up for item in before)
    assert [item.id for item in after] == [item.id for item in before]
    assert sum(not item.taken_up for item in after) == max(0, counted - new)


def test_find_takes_all_that_is_wanted() -> None:
    """An agent fits when name, all capabilities and labels fit and it is not excluded."""
    card = Card("writer", capabilities=("write", "edit"))
    lease = Lease("t", card, "i", 1, 10, NOW, NOW, labels={"zone": "x", "gpu": "no"})
    agent = Agent(card, (lease,))

    def found(**wanted: object) -> bool:
        return rank([agent], Selector(**wanted), NOW) == [agent]  # type: ignore[arg-type]

    assert found()
    assert found(name="writer", capabilities=frozenset({"write"}), labels={"zone": "x"})
    assert not found(capabilities=frozenset({"write", "draw"}))
    assert not found(labels={"zone": "y"})
    assert not found(labels={"disk": ""})
    assert not found(exclude=frozenset({"writer"}))
    assert not found(name="write")
