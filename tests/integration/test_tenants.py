"""Two tenants on the same services: neither sees, watches, changes, stops or guesses what is the other's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pentad.bus.v1 import bus_pb2
from pentad.common.v1 import common_pb2, options_pb2, task_pb2
from pentad.context.v1 import context_pb2
from pentad.llm.v1 import llm_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_client import Pentad, PentadError
from pentad_client.llm import completion
from pentad_client.message import new_message
from pentad_common.call import Role
from pentad_common.clock import utcnow
from pentad_common.db import ALL_TENANTS, Database
from pentad_common.ids import new_id
from pentad_common.models import AuditEvent, LlmBatch, LlmBatchItem, LlmCall
from pentad_common.schema import upgrade
from tests.fixtures.postgres import Postgres
from tests.fixtures.rpcs import DEADLINE, RPCS, Answer, Rpc, held
from tests.integration.agents_host import until
from tests.integration.orchestrator_house import House, agent, echo, finished, house, says, sequential, texts

CANARY = "canary-7c1e"
"""In all that the first tenant says: nobody else may read it."""
ROLES: tuple[Role, ...] = ("admin", "client", "agent")
WATCH_SECONDS = 0.5
BY_NAME = {rpc.name: rpc for rpc in RPCS}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All five services, on either database; on PostgreSQL with the login that row-level security binds."""
    folder = tmp_path_factory.mktemp("tenants")
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{folder}/pentad.db"
            upgrade(url)
        else:
            server: Postgres = request.getfixturevalue("postgres_server")
            url = server.url(stack.enter_context(server.clone()))
        journal = "" if request.param == "sqlite" else url
        yield stack.enter_context(house(folder, url, "orchestrator", "context", "llm", journal_url=journal))


@dataclass(frozen=True)
class Names:
    """Names of a tenant's things, as someone else may have seen or guessed them."""

    run: str
    waiting: str
    artifact: str
    workflow: str
    message: str
    dead_letter: str
    reservation: str
    agent: str
    instance: str
    key: str
    context_key: str
    batch: str


MADE_UP = Names(
    run=new_id(),
    waiting=new_id(),
    artifact=new_id(),
    workflow="no-such-workflow",
    message=new_id(),
    dead_letter=new_id(),
    reservation=new_id(),
    agent="nobody",
    instance="nowhere",
    key="abcdefghijkl",
    context_key="no/such/key",
    batch=new_id(),
)


def text(value: str = CANARY) -> common_pb2.Content:
    return common_pb2.Content(content_type="text/plain", data=value.encode())


@contextlib.asynccontextmanager
async def first_tenant(home: House, tenant: str) -> AsyncIterator[tuple[Pentad, Names]]:
    """A tenant with one of everything, its client, and the names of the things."""
    async with contextlib.AsyncExitStack() as stack:
        key = home.key(tenant)
        acme = await stack.enter_async_context(Pentad(home.config(key)))
        connection = await stack.enter_async_context(await acme.bus.connect(agent="scribe"))
        card = registry_pb2.AgentCard(name="scribe", capabilities=[CANARY], description=CANARY)
        registration = await acme.registry.register(card, instance="desk", capacity=8)
        stack.push_async_callback(registration.close)
        await acme.registry.report_files("desk", [registry_pb2.AgentFile(path=CANARY)])
        artifact = await acme.orchestrator.put_artifact(CANARY.encode(), name=CANARY)
        run = await acme.orchestrator.create_run(sequential("scribe"))
        question = pb.Step(name="ask", input=pb.InputRequest(prompt=CANARY))
        waiting = await acme.orchestrator.create_run(
            pb.CreateRunRequest(
                instruction=CANARY,
                inputs=[common_pb2.Part(artifact=artifact)],
                plan=pb.Plan(steps=[question]),
            )
        )
        await acme.orchestrator.create_workflow("recipe", pb.Plan(steps=[question]), CANARY)
        await acme.context.put("plans/one", CANARY.encode())
        await anext(aiter(connection))  # the run's task stays open
        message = new_message("note", text(), recipient="scribe")
        await connection.publish(message)
        await (await anext(aiter(connection))).nack(reason=CANARY, terminal=True)
        await until(lambda: dead_letters(acme))
        [dead] = await dead_letters(acme)
        selected = await acme.registry.select(registry_pb2.AgentSelector(name="scribe"))
        write_llm_call(home, tenant, run.run_id)
        batch = write_batch(home, tenant, key.split("_")[1])
        yield (
            acme,
            Names(
                run=run.run_id,
                waiting=waiting.run_id,
                artifact=artifact.artifact_id,
                workflow="recipe",
                message=message.id,
                dead_letter=dead.dead_letter_id,
                reservation=selected.reservation_id,
                agent="scribe",
                instance="desk",
                key=key.split("_")[1],
                context_key="plans/one",
                batch=batch,
            ),
        )


async def dead_letters(pentad: Pentad) -> list[bus_pb2.DeadLetter]:
    return list((await pentad.bus.list_dead_letters()).dead_letters)


def write_llm_call(home: House, tenant: str, run_id: str) -> None:
    """A call to a model that the first tenant paid for."""
    database = Database(home.database_url, pool_size=1)
    row = LlmCall(tenant_id=tenant, run_id=run_id, requested_model=CANARY, provider="x", input_tokens=7)
    database.run_sync(lambda session: session.add(row), tenant=tenant)
    database.close()


def write_batch(home: House, tenant: str, key_id: str) -> str:
    """A batch of the first tenant's that waits, with a result and a request in it; returns its id."""
    database = Database(home.database_url, pool_size=1)
    later = utcnow() + timedelta(days=1)
    batch = LlmBatch(
        id=new_id(),
        tenant_id=tenant,
        key_id=key_id,
        request_id=CANARY,
        caller={
            "role": "admin",
            "grants": [],
            "agent": None,
            "run_id": None,
            "request_id": "",
            "traceparent": "",
        },
        requested_model=CANARY,
        model=CANARY,
        native=True,  # looked after when it is due, which is not today
        state="PENDING",
        items=2,
        next_time=later,
        expire_time=later,
    )
    answer = llm_pb2.InvokeResponse(served=llm_pb2.Served(model=CANARY)).SerializeToString()
    items = [
        LlmBatchItem(tenant_id=tenant, batch_id=batch.id, number=number, custom_id=CANARY, **fields)
        for number, fields in enumerate(
            [{"state": "SUCCEEDED", "response": answer}, {"state": "PENDING", "request": CANARY.encode()}]
        )
    ]

    def write(session: Session) -> None:
        session.add(batch)
        session.flush()
        session.add_all(items)

    database.run_sync(write, tenant=tenant)
    database.close()
    return str(batch.id)


def address(names: Names, scope: str = "tenant") -> context_pb2.Address:
    return context_pb2.Address(scope=scope, key=names.context_key)


def part(names: Names) -> common_pb2.Part:
    return common_pb2.Part(artifact=common_pb2.Artifact(artifact_id=names.artifact))


def put(names: Names) -> context_pb2.PutOp:
    return context_pb2.PutOp(address=address(names), content=text("mine"))


def hello(names: Names, **fields: Any) -> bus_pb2.Hello:
    everything = bus_pb2.Subscribe(pattern=">", scope=bus_pb2.SUBSCRIPTION_SCOPE_INSTANCE)
    return bus_pb2.Hello(
        agent=names.agent,
        instance=names.instance,
        take_inbox=True,
        credit=bus_pb2.Credit(messages=64, bytes=1 << 20),
        subscriptions=[everything],
        **fields,
    )


STEP = pb.Step(agent="scribe")
QUESTION = pb.Plan(steps=[pb.Step(name="ask", input=pb.InputRequest(prompt="mine"))])
HEADER = pb.PutArtifactRequest.Header

# What someone else asks about a tenant's things, by RPC. The answer must be the one to names that nobody has.
PROBES: dict[str, Callable[[Names], list[dict[str, Any]]]] = {
    "Connect": lambda names: [{"hello": hello(names)}, {"batch": bus_pb2.ClientBatch(acks=[1, 2])}],
    "ListMessages": lambda names: [
        {},
        {"filter": bus_pb2.MessageFilter(run_id=names.run)},
        {"filter": bus_pb2.MessageFilter(agent=names.agent)},
        {"filter": bus_pb2.MessageFilter(correlation_id=names.message)},
    ],
    "TailMessages": lambda names: [{"from_start": True}],
    "ListDeadLetters": lambda names: [{}, {"recipient": names.agent}],
    "RedriveDeadLetters": lambda names: [
        {"dead_letter_ids": [names.dead_letter]},
        {"recipient": names.agent},
    ],
    "GetDeadLetter": lambda names: [{"dead_letter_id": names.dead_letter}],
    "PurgeDeadLetters": lambda names: [
        {"dead_letter_ids": [names.dead_letter]},
        {"recipient": names.agent},
        {"all": True},
    ],
    "ReplayMessages": lambda names: [
        {"filter": bus_pb2.MessageFilter(run_id=names.run), "recipient": names.agent},
        {"filter": bus_pb2.MessageFilter(agent=names.agent), "recipient": names.agent},
    ],
    "GetQueueStats": lambda names: [{}, {"agent": names.agent}, {"agent": names.agent, "page_size": 1}],
    "Publish": lambda names: [{"message": bus_pb2.Message(recipient=names.agent, payload=text("mine"))}],
    "KeepAlive": lambda names: [{"agent": names.agent, "instance": names.instance, "epoch": 1}],
    "Deregister": lambda names: [{"agent": names.agent, "instance": names.instance, "forget": True}],
    "GetAgent": lambda names: [{"name": names.agent}],
    "ListAgents": lambda names: [{}, {"live": True}],
    "FindAgents": lambda names: [
        {"selector": registry_pb2.AgentSelector(name=names.agent)},
        {"selector": registry_pb2.AgentSelector(capabilities=[CANARY])},
    ],
    "SelectAgent": lambda names: [{"selector": registry_pb2.AgentSelector(name=names.agent)}],
    "ReleaseReservation": lambda names: [{"reservation_id": names.reservation}],
    "DrainAgent": lambda names: [{"agent": names.agent, "instance": names.instance}, {"agent": names.agent}],
    "WatchAgents": lambda names: [{}],
    "ListAgentFiles": lambda names: [{}],
    "ListKeys": lambda names: [{"include_ended": True}],
    "RevokeKey": lambda names: [{"key_id": names.key}],
    "Get": lambda names: [{"address": address(names)}, {"address": address(names, f"runs/{names.run}")}],
    "Delete": lambda names: [{"address": address(names)}],
    "List": lambda names: [{}, {"prefix": address(names)}],
    "Transact": lambda names: [
        {
            "compares": [context_pb2.Compare(address=address(names), exists=True)],
            "then": [context_pb2.Op(get=address(names))],
        }
    ],
    "Watch": lambda names: [{"include_current": True}],
    "GetHistory": lambda names: [{"address": address(names)}],
    "PutArtifact": lambda names: [{"header": HEADER(name="x", run_id=names.run)}, {"data": b"mine"}],
    "GetArtifact": lambda names: [{"artifact_id": names.artifact}],
    "CreateRun": lambda names: [
        {"instruction": "x", "inputs": [part(names)], "sequential": pb.Sequential(steps=[STEP])},
        {"instruction": "x", "workflow": pb.WorkflowReference(name=names.workflow)},
    ],
    "GetRun": lambda names: [{"run_id": names.run}, {"run_id": names.waiting}],
    "ListRuns": lambda names: [{}],
    "WatchRun": lambda names: [{"run_id": names.run}],
    "CancelRun": lambda names: [{"run_id": names.run}, {"run_id": names.waiting}],
    "PauseRun": lambda names: [{"run_id": names.run}],
    "ResumeRun": lambda names: [{"run_id": names.run}],
    "SendInput": lambda names: [
        {"run_id": names.waiting, "step": "ask", "parts": [common_pb2.Part(content=text("mine"))]}
    ],
    "RetryRun": lambda names: [{"run_id": names.run}],
    "GetWorkflow": lambda names: [{"workflow": pb.WorkflowReference(name=names.workflow, version=1)}],
    "ListWorkflows": lambda names: [{}],
    "UpdateWorkflow": lambda names: [{"workflow": pb.Workflow(name=names.workflow, plan=QUESTION)}],
    "DeleteWorkflow": lambda names: [{"name": names.workflow}],
    "ListModels": lambda names: [{}],
    "GetUsage": lambda names: [{}, {"run_id": names.run}],
    "GetBatch": lambda names: [{"batch_id": names.batch}],
    "ListBatches": lambda names: [{}],
    "ListBatchResults": lambda names: [{"batch_id": names.batch}],
    "CancelBatch": lambda names: [{"batch_id": names.batch}],
}
# What makes something: someone else may have one of the same name.
TWINS: dict[str, Callable[[Names], dict[str, Any]]] = {
    "Put": lambda names: {"put": put(names)},
    "CreateWorkflow": lambda names: {"workflow": pb.Workflow(name=names.workflow, plan=QUESTION)},
    "Register": lambda names: {
        "card": registry_pb2.AgentCard(name=names.agent),
        "instance": names.instance,
    },
    "ReportAgentFiles": lambda names: {"host": names.instance},
    "CreateKey": lambda names: {"name": "mine", "role": options_pb2.ROLE_CLIENT},
    "Publish": lambda names: {
        "message": bus_pb2.Message(id=names.message, topic="mine", payload=text("mine"))
    },
    "Transact": lambda names: {"then": [context_pb2.Op(put=put(replace(names, context_key="mine")))]},
    "BatchInvoke": lambda names: {
        "request_id": CANARY,
        "model": "local",
        "items": [llm_pb2.BatchItem(custom_id="one", completion=completion("x", max_output_tokens=1))],
    },
}
# They reach no tenant's things: models are the same for all, and what is said is not kept.
TENANTLESS = {"Invoke", "InvokeStreaming", "CountTokens", "Embed"}


def test_no_rpc_is_left_out() -> None:
    """Whoever adds an RPC says here what another tenant could try with it."""
    assert PROBES.keys() | TWINS.keys() | TENANTLESS == {rpc.name for rpc in RPCS}


class Stranger:
    """Calls of another tenant, with keys of its own."""

    def __init__(self, home: House, metadata: list[tuple[str, str]]) -> None:
        self.tenant = new_id()
        self._channels = {
            name: grpc.insecure_channel(f"127.0.0.1:{port}") for name, port in home.ports.items()
        }
        self._keys = {
            role: home.key(self.tenant, role, *(["*"] if role == "agent" else [])) for role in ROLES
        }
        self._metadata = metadata

    def call(self, rpc: Rpc, role: Role, requests: Iterable[Any]) -> Answer:
        """One call. A stream that goes on is cut short."""
        seconds = WATCH_SECONDS if rpc.method.server_streaming else 10.0
        if rpc.name in ("Connect", "KeepAlive"):  # the caller ends them, well before its deadline
            requests, seconds = held(requests, WATCH_SECONDS), 10.0
        return rpc.call(
            self._channels[rpc.service], self._keys[role], requests, seconds, metadata=self._metadata
        )

    def probe(self, rpc: Rpc, role: Role, names: Names) -> list[Answer]:
        """The answers to all that may be asked about `names`."""
        requests = [rpc.request(**fields) for fields in PROBES[rpc.name](names)]
        if rpc.method.client_streaming:
            return [self.call(rpc, role, requests)]
        return [self.call(rpc, role, [request]) for request in requests]

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()


@contextlib.contextmanager
def stranger(home: House, *metadata: tuple[str, str]) -> Iterator[Stranger]:
    made = Stranger(home, list(metadata))
    try:
        yield made
    finally:
        made.close()


def unnamed(answer: Answer, names: Names) -> tuple[Any, ...]:
    """The answer, but for the names that it repeats."""
    said = answer.text if answer.domain else ""  # the rest is gRPC's own, which varies
    for name in sorted(vars(names).values(), key=len, reverse=True):
        said = said.replace(name, "<name>")
    return answer.code, answer.reason, said, len(answer.responses)


def check_probes(rival: Stranger, names: Names, role: Role) -> None:
    """Every RPC answers about things of another tenant as it does about things that nobody has."""
    for rpc in RPCS:
        if rpc.name not in PROBES:
            continue
        answers = rival.probe(rpc, role, names)
        expected = [unnamed(answer, MADE_UP) for answer in rival.probe(rpc, role, MADE_UP)]
        assert [unnamed(answer, names) for answer in answers] == expected, f"{rpc.path} as {role}"
        for answer in answers:
            assert CANARY not in answer.text, rpc.path
            assert CANARY.encode() not in b"".join(r.SerializeToString() for r in answer.responses), rpc.path
            assert answer.code in (grpc.StatusCode.OK, DEADLINE) or answer.domain == "pentad.dev", rpc.path


async def chatter(acme: Pentad) -> None:
    """Goes on saying and changing things, so that there is something to overhear."""
    while True:
        await acme.bus.publish(new_message("note", text(), topic="gossip.all"))
        await acme.bus.publish(new_message("note", text(), recipient="scribe"))
        await acme.context.put("plans/two", CANARY.encode())
        await asyncio.sleep(0.05)


async def state(acme: Pentad, names: Names) -> list[Any]:
    """What the tenant has, as it sees it."""
    runs = [await acme.orchestrator.get_run(run_id) for run_id in (names.run, names.waiting)]
    agents = [found async for found in acme.registry.list()]
    return [
        *runs,
        await acme.orchestrator.get_artifact(names.artifact),
        await acme.orchestrator.get_workflow(names.workflow),
        await acme.context.get(names.context_key),
        [key async for key in acme.keys.list()],
        [(found.card, [item.status for item in found.instances]) for found in agents],
        [item.reservations for found in agents for item in found.instances],
        await dead_letters(acme),
        (await acme.llm.usage()).total,
        [batch async for batch in acme.llm.batches()],
        [result async for result in acme.llm.batch_results(names.batch)],
    ]


@pytest.mark.parametrize("role", ROLES)
async def test_nothing_of_another_tenant(home: House, role: Role) -> None:
    """Whatever someone else asks, with any role: missing and forbidden look the same, and nothing changes."""
    async with first_tenant(home, new_id()) as (acme, names):
        before = await state(acme, names)
        talking = asyncio.create_task(chatter(acme))
        with stranger(home) as rival:
            await asyncio.to_thread(check_probes, rival, names, role)
        talking.cancel()
        assert await state(acme, names) == before


async def test_claims_to_act_for_another_tenant(home: House) -> None:
    """`pentad-on-behalf-of` of anyone but a service is ignored, and written down."""
    acme = new_id()
    async with first_tenant(home, acme) as (_, names):
        with stranger(home, ("pentad-on-behalf-of", acme)) as rival:
            await asyncio.to_thread(check_probes, rival, names, "admin")
    database = Database(home.database_url, pool_size=1)
    events = database.run_sync(
        lambda session: list(
            session.scalars(select(AuditEvent).where(AuditEvent.action == "on_behalf_of.ignored"))
        ),
        tenant=ALL_TENANTS,
    )
    database.close()
    assert {event.tenant_id for event in events} == {rival.tenant}
    assert {event.detail["claimed"] for event in events} == {acme}
    assert {event.detail["method"] for event in events} >= {rpc.path for rpc in RPCS if rpc.name in PROBES}


async def test_everyone_may_have_things_of_the_same_name(home: House) -> None:
    """Names, ids of messages and keys of the shared state are each tenant's own."""
    async with first_tenant(home, new_id()) as (acme, names):
        before = await state(acme, names)
        with stranger(home) as rival:
            for name, fields in TWINS.items():
                request = BY_NAME[name].request(**fields(names))
                answer = await asyncio.to_thread(rival.call, BY_NAME[name], "admin", [request])
                assert answer.code is grpc.StatusCode.OK, f"{name}: {answer}"
        assert await state(acme, names) == before


async def test_a_run_of_each_tenant(home: House) -> None:
    """Runs of two tenants with agents of the same names go through bus, registry and engine side by side."""

    async def work(tenant: str) -> str:
        async with (
            Pentad(home.config(home.key(tenant))) as pentad,
            agent(home, tenant, "one", echo),
            agent(home, tenant, "two", lambda task: _says(tenant)),
        ):
            run = await pentad.orchestrator.create_run(sequential("one", "two"))
            return texts((await finished(pentad, run.run_id)).result)[0]

    async def _says(tenant: str) -> Any:
        return says(tenant)

    assert await asyncio.gather(*map(work, ("red", "blue"))) == ["red", "blue"]


async def test_an_agent_answers_with_what_is_not_its(home: House) -> None:
    """A result may name another tenant's file like one that does not exist: nobody gets to read it. One that
    holds what cannot be kept fails its step.
    """
    rival = new_id()
    answers: list[task_pb2.TaskResult] = [
        task_pb2.TaskResult(outputs=[part(MADE_UP)]),
        task_pb2.TaskResult(error=common_pb2.Error(code=3, reason="ODD", message="a\0b")),
        task_pb2.TaskResult(handoff="a\0b"),
    ]

    async def work(_task: task_pb2.Task) -> task_pb2.TaskResult:
        return answers.pop(0)

    async with (
        first_tenant(home, new_id()) as (_, names),
        Pentad(home.config(home.key(rival))) as pentad,
        agent(home, rival, "thief", work),
    ):
        answers.insert(0, task_pb2.TaskResult(outputs=[part(names)]))
        once = pb.RetryPolicy(max_attempts=1)
        runs = []
        for _ in range(len(answers)):
            run = await pentad.orchestrator.create_run(sequential("thief", retry=once))
            runs.append(await finished(pentad, run.run_id))
        for run, artifact in zip(runs, (names.artifact, MADE_UP.artifact), strict=False):
            assert run.state == pb.STATE_COMPLETED
            with pytest.raises(PentadError) as caught:
                await pentad.orchestrator.get_artifact(artifact)
            assert caught.value.reason == "ARTIFACT_NOT_FOUND"
        assert [run.error.reason for run in runs[2:]] == ["RESULT_MALFORMED"] * 2
