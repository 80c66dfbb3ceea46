"""The sidecar host beside real services: what an agent's author relies on."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pentad.common.v1 import task_pb2
from pentad.orchestrator.v1 import orchestrator_pb2 as pb
from pentad.registry.v1 import registry_pb2
from pentad_client.errors import InvalidArgument
from pentad_client.message import new_message
from tests.integration.agents_host import EXAMPLES, SHIPPED, Host, hosting, until
from tests.integration.orchestrator_house import House, finished, house, texts


@pytest.fixture(scope="module")
def services(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The services, for all tests of this file."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "pentad.db").write_bytes(sqlite_template.read_bytes())
    with house(folder, f"sqlite:///{folder}/pentad.db") as made:
        made.start("context")
        yield made


@pytest.fixture
async def host(services: House, tmp_path: Path) -> AsyncIterator[Host]:
    """A host of a tenant of its own, not yet started."""
    async with hosting(services, f"t-{uuid.uuid4().hex[:12]}", tmp_path) as made:
        yield made


async def outcome(host: Host, *agents: str, **options: object) -> pb.Run:
    """The ended run of one agent after another."""
    run = await host.run(*agents, **options)  # type: ignore[arg-type]
    return await finished(host.pentad, run.run_id)


async def said(host: Host, *agents: str, **options: object) -> str:
    """The text that such a run results in."""
    run = await outcome(host, *agents, **options)
    assert run.state == pb.STATE_COMPLETED, run.error
    return texts(run.result)[0]


async def test_new_file_works_within_two_seconds(host: Host) -> None:
    """A file dropped into the folder answers a task in well under two seconds."""
    await host.start()
    host.write("late", "return f'{task.instruction}, {task.attempt}, {ctx.agent}'")
    began = time.monotonic()
    await until(lambda: host.live("late"))
    assert await said(host, "late") == "do it, 1, late"
    assert time.monotonic() - began < 2.0


async def test_edit_leaves_work_in_flight_alone(host: Host, tmp_path: Path) -> None:
    """After an edit new tasks get the new version; one at work finishes on the old, then it is torn down."""
    down = f"async def teardown(self): pathlib.Path({str(tmp_path / 'down')!r}).touch()"
    gate = tmp_path / "gate"
    wait = f"while not os.path.exists({str(gate)!r}): await asyncio.sleep(0.02)\nreturn 'old'"
    host.write("it", wait, down)
    await host.start()
    slow = await host.run("it")
    await until(lambda: _running(host, slow.run_id))
    host.write("it", "return 'new'", "VERSION = '2'")
    await until(lambda: _version(host, "it", "2"))
    assert await said(host, "it") == "new"
    assert not (tmp_path / "down").exists()
    gate.touch()
    assert texts((await finished(host.pentad, slow.run_id)).result) == ["old"]
    await until(lambda: (tmp_path / "down").exists())


async def test_deleted_file_leaves_when_its_work_is_done(host: Host, tmp_path: Path) -> None:
    """An agent whose file is gone finishes what it has, then is forgotten."""
    gate = tmp_path / "gate"
    host.write("it", f"while not os.path.exists({str(gate)!r}): await asyncio.sleep(0.02)\nreturn 'done'")
    await host.start()
    run = await host.run("it")
    await until(lambda: _running(host, run.run_id))
    (host.folder / "it.py").unlink()
    await until(lambda: _status(host, "it", registry_pb2.INSTANCE_STATUS_DRAINING))
    gate.touch()
    assert texts((await finished(host.pentad, run.run_id)).result) == ["done"]
    await until(lambda: _gone(host, "it"))


async def test_broken_files_are_listed_and_disturb_nothing(host: Host) -> None:
    """Each broken file is listed with its reason and line; its neighbour works."""
    host.write("good", "return 'good'")
    (host.folder / "syntax.py").write_text("def f(:\n")
    (host.folder / "missing.py").write_text("import no_such_module\n")
    (host.folder / "nothing.py").write_text("x = 1\n")
    (host.folder / "twin.py").write_text((host.folder / "good.py").read_text())
    await host.start()
    await until(lambda: _reported(host, 5))
    files = await host.files()
    reasons = {path: file.reason for path, file in files.items()}
    assert reasons == {
        "good.py": "",
        "syntax.py": "SYNTAX_ERROR",
        "missing.py": "IMPORT_ERROR",
        "nothing.py": "NO_AGENT",
        "twin.py": "DUPLICATE_NAME",
    }
    assert "line 1" in files["syntax.py"].message and "no_such_module" in files["missing.py"].detail
    assert await said(host, "good") == "good"


async def test_agent_refused_by_the_registry_is_listed(host: Host) -> None:
    """An agent with a schema that is none is listed with what the registry says."""
    host.write("odd", "return 1", "INPUT_SCHEMA = {'type': 'no such type'}")
    host.write("good", "return 'good'")
    starting = asyncio.create_task(host.start())
    await until(lambda: _has_reason(host, "odd.py", "INVALID_AGENT"))
    assert "the registry refuses agent 'odd'" in (await host.files())["odd.py"].message
    assert await said(host, "good") == "good"
    starting.cancel()


async def test_errors_tell_what_happened(host: Host) -> None:
    """An AgentError is the answer at once; any other exception is AGENT_FAILED, and tried again."""
    host.write("sorry", "raise AgentError('NO_COFFEE', 'there is none', beans=0)")
    host.write("broken", "raise ValueError('oops')")
    host.write("leaves", "sys.exit(1)")
    host.write("silent", "pass")
    host.write("odd", "return {1, object()}")
    await host.start()
    run = await outcome(host, "sorry")
    assert (run.error.reason, run.error.metadata["beans"]) == ("NO_COFFEE", "0")
    assert run.error.message.endswith("there is none") and len(run.agent_runs) == 1
    run = await outcome(host, "broken")
    assert run.error.reason == "AGENT_FAILED" and run.error.message.endswith("ValueError: oops")
    assert len(run.agent_runs) == 4
    assert "Traceback" in host.log.read_text()
    assert (await outcome(host, "leaves")).error.message.endswith("AgentExit: SystemExit: 1")
    assert (await outcome(host, "silent")).error.reason == "INVALID_OUTPUT"
    assert (await outcome(host, "odd")).error.reason == "INVALID_OUTPUT"


async def test_blocking_agent_is_named(host: Host) -> None:
    """An agent that blocks the host is named in the log with its line, and the host goes on after it."""
    host.write("rude", "time.sleep(3.5)\nreturn 'sorry'")
    await host.start()
    assert await said(host, "rude") == "sorry"
    lines = [line for line in host.log.read_text().splitlines() if "blocks all others" in line]
    assert len(lines) == 1 and "rude.py line 8: time.sleep(3.5)" in lines[0]


async def test_cancel_reaches_a_busy_agent(host: Host, tmp_path: Path) -> None:
    """A cancelled run ends its agent's work within two seconds, even when the agent is fully busy."""
    marker = tmp_path / "cancelled"
    body = f"""
    if os.path.exists({str(marker)!r}):
        return 'free again'
    try:
        await asyncio.sleep(60)
    finally:
        pathlib.Path({str(marker)!r}).write_text(str(ctx.cancelled))
    """
    host.write("it", body, "MAX_CONCURRENCY = 1")
    await host.start()
    run = await host.run("it")
    waiting = await host.run("it")
    await until(lambda: _running(host, run.run_id))
    await asyncio.sleep(0.2)
    await host.pentad.orchestrator.cancel_run(waiting.run_id)
    await host.pentad.orchestrator.cancel_run(run.run_id)
    assert await until(lambda: marker.exists() and marker.read_text()) < 2.0
    assert marker.read_text() == "True"
    assert await said(host, "it") == "free again"


async def test_nobody_but_a_service_cancels(host: Host, tmp_path: Path) -> None:
    """A cancellation that another client sends straight to the instance stops nothing."""
    gate = tmp_path / "gate"
    host.write("it", f"while not os.path.exists({str(gate)!r}): await asyncio.sleep(0.02)\nreturn 'done'")
    await host.start()
    run = await host.run("it")
    await until(lambda: _running(host, run.run_id))
    order = task_pb2.TaskCancel(run_id=run.run_id, reason="because")
    async with await host.pentad.bus.connect("it", "other", take_inbox=False) as mine:
        await mine.publish(new_message("pentad.cancel", order, recipient="it/h1.mail"))
    await until(lambda: _dead_letter(host, "it/h1.mail"))
    gate.touch()
    assert texts((await finished(host.pentad, run.run_id)).result) == ["done"]


async def test_agent_that_will_not_be_cancelled(host: Host) -> None:
    """The host does not wait for ever for an agent that swallows its cancellation at the deadline."""
    body = """
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
    """
    host.write("stubborn", body)
    host.write("good", "return 'good'")
    await host.start()
    step = pb.Step(agent="stubborn")
    step.timeout.FromMilliseconds(300)
    step.retry.max_attempts = 1
    request = pb.CreateRunRequest(instruction="x", sequential=pb.Sequential(steps=[step]))
    run = await host.pentad.orchestrator.create_run(request)
    assert (await finished(host.pentad, run.run_id)).error.reason in ("STEP_TIMEOUT", "AGENT_TIMEOUT")
    assert await said(host, "good") == "good"


async def test_large_pieces_travel_as_artifacts(host: Host) -> None:
    """Inputs and outputs of any size arrive whole; those over 256 KiB by way of the orchestrator."""
    host.write("twice", "return [Output(await part.bytes() * 2, part.name) for part in task.inputs]")
    host.write("sizes", "return {p.name: [p.size, len(await p.bytes())] for p in task.previous[0].outputs}")
    await host.start()
    inputs = {"small": b"x" * 100, "large": b"y" * 3_000_000}
    assert json.loads(await said(host, "twice", "sizes", inputs=inputs)) == {
        "small": [200, 200],
        "large": [6_000_000, 6_000_000],
    }


async def test_state(host: Host) -> None:
    """State is the agent's own or shared, of the run or of the tenant, and a stale write is refused."""
    body = """
    own, shared = ctx.state, ctx.state.shared
    revision = await own.put("plan", {"n": 1}, revision=0)
    refused = ""
    try:
        await own.put("plan", {"n": 2}, revision=0)
    except Exception as error:
        refused = error.reason
    await shared.append("log", ctx.agent)
    await shared.merge("who", {ctx.agent: True})
    count = await ctx.state.tenant.shared.increment("runs", 2)
    await ctx.state.tenant.put("note", "text")
    await own.put("raw", b"\\x00\\x01")
    return {
        "plan": await own.get("plan"), "refused": refused, "count": count, "missing": await own.get("x", 7),
        "log": await shared.get("log"), "who": await shared.get("who"), "list": sorted(await own.list()),
        "note": await ctx.state.tenant.get("note"), "raw": (await own.get("raw")).hex(),
        "gone": await own.delete("raw"),
    }
    """
    host.write("a", body)
    host.write("b", body)
    await host.start()
    run = await outcome(host, "a", "b")
    first, second = (json.loads(texts(attempt.outputs)[0]) for attempt in run.agent_runs)
    assert first == {
        "plan": {"n": 1},
        "refused": "REVISION_CONFLICT",
        "count": 2,
        "missing": 7,
        "log": ["a"],
        "who": {"a": True},
        "note": "text",
        "list": ["plan", "raw"],
        "raw": "0001",
        "gone": True,
    }
    assert (second["log"], second["who"], second["count"]) == (["a", "b"], {"a": True, "b": True}, 4)


async def test_messages_between_agents(host: Host) -> None:
    """Agents ask each other, even when fully busy. A message that nobody takes is a dead letter, and who
    asked is told.
    """
    host.write(
        "asks", "return (await ctx.messages.request('knows', {'n': 20})).content", "MAX_CONCURRENCY = 1"
    )
    answer = """
    async def on_message(self, message, ctx):
        return {'n': message.content['n'] + 1, 'to': message.sender}
    """
    host.write("knows", "return ''", answer)
    host.write("deaf", "return ''")
    host.write("tells", "await ctx.messages.send('deaf', 'hello')\nreturn 'told'")
    slow = "@on('order')\nasync def order(self, message, ctx):\n    await asyncio.sleep(1)"
    host.write("slow", "return ''", slow)
    host.write("alone", "await ctx.messages.request('slow', 'hello', type='order', timeout=0.3)")
    host.write("wrong", "await ctx.messages.request('slow', 'hello', type='ordre')")
    await host.start()
    assert json.loads(await said(host, "asks")) == {"n": 21, "to": "asks"}
    assert await said(host, "tells") == "told"
    await until(lambda: _dead_letter(host, "deaf"))
    run = await outcome(host, "alone")
    assert run.error.reason == "NO_ANSWER" and len(run.agent_runs) == 4
    run = await outcome(host, "wrong")
    assert run.error.reason == "MESSAGE_TYPE_UNKNOWN" and len(run.agent_runs) == 1
    assert run.error.metadata["handled"] == "order"


async def test_a_broadcast_that_is_not_for_an_agent(host: Host) -> None:
    """Who has no handler lets a broadcast pass; it is not given up on, and others get it."""
    host.write("deaf", "return ''")
    answer = """
    async def on_message(self, message, ctx):
        return {'heard': message.content}
    """
    host.write("hears", "return ''", answer)
    await host.start()
    async with await host.pentad.bus.connect("asker") as asker:
        message = new_message("news", "hello", broadcast=True, reply_to="asker")
        await asker.publish(message)
        async with asyncio.timeout(20):
            reply = await anext(aiter(asker))
        assert (reply.message.sender, reply.message.correlation_id) == ("hears", message.id)
    assert not await _dead_letter(host, "deaf")


async def test_a_method_for_a_type_of_message(host: Host) -> None:
    """A marked method gets its types, `on_message` the others."""
    methods = """
    @on("order", "order.urgent")
    async def take(self, message, ctx):
        return [message.type, message.content]

    async def on_message(self, message, ctx):
        return "something else"
    """
    host.write("shop", "return ''", methods)
    asking = (
        "[(await ctx.messages.request('shop', 1, type=t)).content for t in ('order', 'order.urgent', 'x')]"
    )
    host.write("asks", f"return {asking}")
    await host.start()
    assert json.loads(await said(host, "asks")) == [["order", 1], ["order.urgent", 1], "something else"]


async def test_progress(host: Host) -> None:
    """Progress becomes events of the run, from threads too; what comes too fast is thinned out."""
    body = """
    await ctx.progress(0.25, "a quarter")
    await asyncio.sleep(1.0)
    await asyncio.to_thread(ctx.progress, 0.5, "from a thread")
    await asyncio.sleep(1.0)
    for n in range(1000):
        ctx.progress(n / 1000, "fast")
    await asyncio.sleep(1.0)
    return "done"
    """
    host.write("it", body)
    await host.start()
    run = await host.run("it")
    events = [event async for event in host.pentad.orchestrator.watch_run(run.run_id)]
    told = [
        (event.message, event.fraction) for event in events if event.type == pb.RunEvent.TYPE_STEP_PROGRESS
    ]
    assert [text for text, _ in told][:2] == ["a quarter", "from a thread"]
    assert told[-1][0] == "fast" and told[-1][1] > 0.99
    assert len(told) < 10


async def test_handoff_and_final(host: Host) -> None:
    """In an adaptive run an agent hands over, and another says that this is all."""
    host.write("first", "return Handoff('second', 'from first')")
    host.write("second", "return Final(await task.previous[0].outputs[0].text() + ', second')")
    await host.start()
    request = pb.CreateRunRequest(
        instruction="x", adaptive=pb.Adaptive(candidates=["first", "second"], first="first")
    )
    run = await host.pentad.orchestrator.create_run(request)
    assert texts((await finished(host.pentad, run.run_id)).result) == ["from first, second"]


async def test_sigterm_drains(host: Host, tmp_path: Path) -> None:
    """On SIGTERM the host finishes what it has, tears down, leaves the registry, and exits with 0."""
    down = f"async def teardown(self): pathlib.Path({str(tmp_path / 'down')!r}).touch()"
    host.write("it", "await asyncio.sleep(1.0)\nreturn 'finished'", down)
    await host.start()
    run = await host.run("it")
    await until(lambda: _running(host, run.run_id))
    assert await host.stop() == 0
    assert texts((await finished(host.pentad, run.run_id)).result) == ["finished"]
    assert (tmp_path / "down").exists() and not await host.live("it")


async def test_killed_host(host: Host, tmp_path: Path) -> None:
    """A task of a host that was killed is done after its restart."""
    began = tmp_path / "began"
    body = f"""
    if not os.path.exists({str(began)!r}):
        pathlib.Path({str(began)!r}).touch()
        await asyncio.sleep(60)
    return 'second time'
    """
    host.write("it", body)
    await host.start()
    run = await host.run("it")
    await until(began.exists)
    host.kill()
    await host.start()
    assert texts((await finished(host.pentad, run.run_id)).result) == ["second time"]


@pytest.mark.parametrize("service", ["bus", "registry", "orchestrator"])
async def test_killed_service(host: Host, service: str, tmp_path: Path) -> None:
    """A service is killed and comes back while an agent works: the run completes, the work is done once."""
    body = f"""
    with open({str(tmp_path / "times")!r}, "a") as file:
        file.write("x")
    await asyncio.sleep(1.5)
    return 'done'
    """
    host.write("it", body)
    await host.start()
    run = await host.run("it")
    await until((tmp_path / "times").exists)
    host.house.kill(service)
    host.house.start(service)
    assert texts((await finished(host.pentad, run.run_id, 30)).result) == ["done"]
    assert (tmp_path / "times").read_text() == "x"
    await until(lambda: host.live("it"))
    assert await said(host, "it") == "done"


async def test_task_as_json(host: Host) -> None:
    """A task may come in protobuf's JSON form; a payload that is none of a task is a dead letter."""
    host.write("it", "return task.instruction.upper()")
    await host.start()
    task = {"agentRunId": "a1", "runId": "r1", "instruction": "hello"}
    async with await host.pentad.bus.connect() as mine:
        answer = await mine.request(new_message("pentad.task", task, recipient="it"), 5.0)
        assert answer.type == "pentad.result" and b"HELLO" in answer.payload.data
        with pytest.raises(InvalidArgument) as caught:
            await mine.request(new_message("pentad.task", b"\xff\xff", recipient="it"), 5.0)
        assert caught.value.reason == "TASK_MALFORMED"
    await until(lambda: _dead_letter(host, "it"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"PENTAD_API_KEY": ""}, "PENTAD_API_KEY is not set"),
        ({"PENTAD_API_KEY": "pentad_nonsense"}, "PENTAD_API_KEY is not accepted"),
        ({"PENTAD_PORT": "99999"}, "PENTAD_PORT: "),
        ({"PENTAD_AGENTS_DIR": "/nowhere"}, "/nowhere does not exist"),
    ],
)
async def test_unusable_settings(host: Host, change: dict[str, str], says: str) -> None:
    """The host ends with 2 and one clear line when it cannot start as it is set up."""
    env = host.environment | {"PENTAD_AGENTS_DIR": str(host.folder)} | change
    command = [sys.executable, "-m", "pentad_agents.host"]
    ended = await asyncio.to_thread(
        subprocess.run, command, env=env, capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == 2
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("pentad agents: ") and says in last
    assert "Traceback" not in ended.stderr


async def test_shipped_agents(host: Host) -> None:
    """The three strategies on the example files, without a model: every run completes with a report."""
    for path in SHIPPED.glob("*.py"):
        (host.folder / path.name).write_text(path.read_text())
    await host.start()
    table = await host.part("measurements.csv", (EXAMPLES / "measurements.csv").read_bytes())
    steps = [pb.Step(agent=name) for name in ("profiler", "analyst", "writer")]
    sequential = pb.CreateRunRequest(
        instruction="What stands out?", inputs=[table], sequential=pb.Sequential(steps=steps)
    )
    report = await host.part("report.md", (EXAMPLES / "report.md").read_bytes())
    parallel = pb.CreateRunRequest(
        instruction="Brief me on this",
        inputs=[report],
        parallel=pb.Parallel(
            steps=[pb.Step(agent="summarizer"), pb.Step(agent="critic")], aggregator=pb.Step(agent="writer")
        ),
    )
    mail = await host.part("inquiry.txt", (EXAMPLES / "inquiry.txt").read_bytes())
    adaptive = pb.CreateRunRequest(instruction="Deal with this", inputs=[mail], adaptive=pb.Adaptive())
    for request, expected in ((sequential, "9.81"), (parallel, "16 vans"), (adaptive, "by Wednesday noon")):
        run = await host.pentad.orchestrator.create_run(request)
        ended = await finished(host.pentad, run.run_id)
        assert ended.state == pb.STATE_COMPLETED and not ended.degraded, ended.error
        assert expected in texts(ended.result)[0]


# What `until` waits for.


async def _running(host: Host, run_id: str) -> bool:
    run = await host.pentad.orchestrator.get_run(run_id)
    return any(attempt.state == pb.STATE_RUNNING for attempt in run.agent_runs)


async def _version(host: Host, name: str, version: str) -> bool:
    return (await host.pentad.registry.get(name)).card.version == version


async def _status(host: Host, name: str, status: registry_pb2.InstanceStatus) -> bool:
    agent = await host.pentad.registry.get(name)
    return any(instance.status == status for instance in agent.instances)


async def _gone(host: Host, name: str) -> bool:
    return not [agent async for agent in host.pentad.registry.list() if agent.card.name == name]


async def _reported(host: Host, count: int) -> bool:
    return len(await host.files()) == count


async def _has_reason(host: Host, path: str, reason: str) -> bool:
    files = await host.files()
    return path in files and files[path].reason == reason


async def _dead_letter(host: Host, recipient: str) -> bool:
    return bool((await host.pentad.bus.list_dead_letters(recipient)).dead_letters)
