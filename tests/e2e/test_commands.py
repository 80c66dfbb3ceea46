"""The commands beside `pentad run`, each against a Pentad that runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from openai import OpenAI

from tests.e2e.conftest import COMMAND, Cli, Terminal, surroundings

NEW_AGENT = """
from pentad_agents import BaseAgent

class Shouter(BaseAgent):
    CAPABILITIES = ("shout",)

    async def execute(self, task, ctx):
        return task.instruction.upper() + "{mark}"
"""


def test_env_is_all_that_a_client_needs(pentad: Cli, tmp_path: Path) -> None:
    """The exports work in a shell, and with them alone the command finds the same Pentad."""
    exports = pentad.json("env")
    assert list(exports) == [
        "PENTAD_API_KEY",
        "PENTAD_BUS_ADDRESS",
        "PENTAD_REGISTRY_ADDRESS",
        "PENTAD_CONTEXT_ADDRESS",
        "PENTAD_ORCHESTRATOR_ADDRESS",
        "PENTAD_LLM_ADDRESS",
    ]
    script = f'{pentad("env").stdout}\nexec "$@" agents list --json'
    done = subprocess.run(
        ["bash", "-c", script, "-", *COMMAND],
        env=surroundings(HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "echo" in [agent["name"] for agent in json.loads(done.stdout)["agents"]]


def test_status_knows_each_process(pentad: Cli) -> None:
    """Each process has its pid, health, restarts, memory and address; in a pipe they are tab-separated."""
    found = pentad.json("status")
    assert found["running"] is True
    names = ["bus", "registry", "context", "orchestrator", "llm", "agents"]
    assert [process["name"] for process in found["processes"]] == names
    for process in found["processes"]:
        assert process["healthy"]
        assert process["rss_bytes"] > 20_000_000
        assert process["address"].startswith("127.0.0.1:")
    heading, *rows = pentad("status").stdout.splitlines()[3:]
    assert heading.split("\t")[:3] == ["PROCESS", "STATE", "PID"]
    assert [row.split("\t")[0] for row in rows] == names


def test_agents_come_and_go_with_their_files(pentad: Cli) -> None:
    """A new file is usable within two seconds, an edit counts, a broken file is listed with its reason."""
    folder = Path(pentad.json("status")["agents_dir"])
    file = folder / "shouter.py"
    file.write_text(NEW_AGENT.format(mark="!"))
    time.sleep(2)
    assert pentad("run", "hello", "--agents", "shouter").stdout == "HELLO!\n"
    file.write_text(NEW_AGENT.format(mark="?!"))
    time.sleep(2)
    assert pentad("run", "hello", "--agents", "shouter").stdout == "HELLO?!\n"
    file.unlink()
    (folder / "broken_one.py").write_text("def broken(:\n")
    time.sleep(2)
    listed = pentad.json("agents", "list")
    assert "shouter" not in [agent["name"] for agent in listed["agents"]]
    [broken] = [one for one in listed["files"] if one["path"].endswith("broken_one.py")]
    assert (broken["status"], broken["reason"]) == ("failed", "SYNTAX_ERROR")
    assert "SYNTAX_ERROR" in pentad("agents", "list").stdout
    assert "SYNTAX_ERROR" in pentad("run", "x", "--agents", "broken-one", code=2).stderr
    assert "broken" in pentad("agents", "show", "broken_one.py").stdout
    (folder / "broken_one.py").unlink()


def test_new_agents_run_as_they_are_written(pentad: Cli) -> None:
    """`agents new` writes an agent that runs, into the folder of the running Pentad, and replaces nothing."""
    folder = Path(pentad.json("status")["agents_dir"])
    assert str(folder / "word_counter.py") in pentad("agents", "new", "word-counter").stdout
    assert "exists already" in pentad("agents", "new", "word-counter", code=1).stderr
    assert "cannot be an agent's name" in pentad("agents", "new", "Word Counter", code=2).stderr
    time.sleep(2)
    assert "Asked: count" in pentad("run", "count", "--agents", "word-counter").stdout
    shown = pentad("agents", "show", "word-counter").stdout
    assert "word_counter.py" in shown
    (folder / "word_counter.py").unlink()


def test_messages_of_a_run(pentad: Cli) -> None:
    """Every task and answer of a run can be read, with what is in it."""
    run = pentad.json("run", "talk", "--agents", "echo")
    found = pentad.json("messages", "--run", run["run_id"])
    task, result = sorted(
        (one for one in found if one["type"] in ("pentad.task", "pentad.result")),
        key=lambda one: one["type"] != "pentad.task",
    )
    assert (task["to"], task["payload"]["instruction"]) == ("echo", "talk")
    assert (result["sender"], result["correlation_id"]) == ("echo", task["correlation_id"])
    assert "talk" in pentad("messages", "--run", "last", "--type", "pentad.task").stdout
    assert pentad.json("messages", "--run", run["run_id"], "--agent", "nobody") == []
    assert pentad.json("messages", "dead") == []
    assert "echo" in [queue["inbox"] for queue in pentad.json("messages", "queues")]


def test_messages_are_sent(pentad: Cli, tmp_path: Path) -> None:
    """A message goes to an agent, a topic or all; with the same id it is stored once; it is found by
    time, and given up on where its agent cannot read it."""
    start = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sent = pentad.json("messages", "send", "echo", '{"n": 1}', "--type", "number", "--header", "a=b=c")
    assert sent["duplicate"] is False
    again = pentad.json(
        "messages", "send", "echo", '{"n": 1}', "--type", "number", "--id", sent["message_id"]
    )
    assert again == {"message_id": sent["message_id"], "duplicate": True}
    (tmp_path / "note.md").write_text("# Bees")
    pentad(
        "messages", "send", "--topic", "notes.new", "--file", str(tmp_path / "note.md"), "--type", "number"
    )
    pentad("messages", "send", "--broadcast", "to all", "--type", "number", "--priority", "high")
    found = pentad.json("messages", "--type", "number", "--since", start)
    assert [(one["to"], one["payload"], one["priority"]) for one in reversed(found)] == [
        ("echo", {"n": 1}, "normal"),
        ("topic:notes.new", "# Bees", "normal"),
        ("*", "to all", "high"),
    ]
    assert found[-1]["headers"] == {"a": "b=c"}
    assert pentad.json("messages", "--type", "number", "--until", start) == []
    assert [letter["message"]["id"] for letter in pentad.json("messages", "dead")] == [sent["message_id"]]
    pentad("messages", "purge", "--all")
    assert "there is no inbox 'nobody'" in pentad("messages", "send", "nobody", "x", code=1).stderr
    for wrong in (
        ["send"],
        ["send", "echo"],
        ["send", "echo", "two", "words"],
        ["--follow", "--since", start],
    ):
        assert pentad("messages", *wrong, code=2).stderr.startswith("error: ")


def test_messages_are_followed(pentad: Cli) -> None:
    """--follow prints messages as they come, one JSON object a line, until Ctrl-C."""
    process = pentad.start("messages", "--follow", "--agent", "echo", "--json")
    assert process.stdout is not None
    time.sleep(1)
    pentad("run", "followed", "--agents", "echo")
    assert json.loads(process.stdout.readline())["payload"]["instruction"] == "followed"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130


def test_context_is_shared_state(pentad: Cli, tmp_path: Path) -> None:
    """Entries are written under conditions, read as they were, joined and deleted; their history stays."""
    entry = pentad.json("context", "put", "plans/today", '{"steps": 3}')
    assert (entry["content_type"], entry["value"], entry["version"]) == ("application/json", {"steps": 3}, 1)
    assert pentad("context", "get", "plans/today").stdout == '{"steps": 3}'
    stale = pentad("context", "put", "plans/today", "4", "--if-revision", "999999", "--json", code=1)
    assert json.loads(stale.stderr)["error"]["reason"] == "REVISION_CONFLICT"
    assert pentad("context", "put", "plans/today", "x", "--if-absent", code=1).returncode == 1
    pentad("context", "put", "plans/today", '{"more": true}', "--reducer", "merge")
    assert pentad.json("context", "get", "plans/today")["value"] == {"steps": 3, "more": True}
    (tmp_path / "note.md").write_bytes(b"# Note\n")
    assert (
        pentad.json("context", "put", "plans/note", "--file", str(tmp_path / "note.md"))["value"]
        == "# Note\n"
    )
    assert [one["key"] for one in pentad.json("context", "list", "plans/")] == ["plans/note", "plans/today"]
    pentad("context", "delete", "plans/today")
    assert "KEY_NOT_FOUND" in pentad("context", "get", "plans/today", "--json", code=1).stderr
    assert [one["deleted"] for one in pentad.json("context", "history", "plans/today")] == [
        True,
        False,
        False,
    ]
    old = pentad("context", "get", "plans/today", "--revision", str(entry["revision"])).stdout
    assert old == '{"steps": 3}'
    pentad("context", "put", "plans/x", code=2)


def test_context_is_watched(pentad: Cli) -> None:
    """Changes are printed as they happen."""
    process = pentad.start("context", "watch", "watched/", "--json")
    assert process.stdout is not None
    time.sleep(1)
    pentad("context", "put", "watched/a", "1")
    assert json.loads(process.stdout.readline())["value"] == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


def test_keys_begin_and_end(pentad: Cli) -> None:
    """A key is made, works as far as its role goes, and is refused once it is revoked."""
    done = pentad("keys", "create", "ci", "--role", "client", "--ttl", "1h")
    secret = done.stdout.strip()
    other = Cli(pentad.state, {"PENTAD_API_KEY": secret})
    assert isinstance(other.json("runs", "list"), list)
    assert other("keys", "list", code=1).stderr.startswith("error: ")
    [key] = [one for one in pentad.json("keys", "list") if one["name"] == "ci"]
    assert (key["role"], key["revoked"]) == ("client", None)
    assert key["expires"] is not None
    pentad("keys", "revoke", key["key_id"])
    time.sleep(1.1)
    refused = other("runs", "list", "--json", code=1)
    assert json.loads(refused.stderr)["error"]["reason"] == "API_KEY_REVOKED"
    wrong = Cli(pentad.state, {"PENTAD_API_KEY": "pentad_x_y"})("agents", "list", code=1)
    assert "not valid" in wrong.stderr
    assert "names at least one agent" in pentad("keys", "create", "x", "--role", "agent", code=2).stderr


def test_models_are_asked(pentad: Cli) -> None:
    """The model of a machine without keys answers, counts and is listed."""
    listed = pentad.json("llm", "models")
    assert listed["default"].startswith("local/")
    assert pentad.json("llm", "count", "How long is this?")["input_tokens"] > 4
    answer = pentad.json("llm", "chat", "Say hello.", "--max-tokens", "8", "--seed", "1")
    assert answer["text"]
    assert answer["usage"]["output_tokens"] <= 8
    streamed = pentad("llm", "chat", "--max-tokens", "8", input="Say hello.")
    assert streamed.stdout.strip()
    assert "nothing to ask" in pentad("llm", "chat", input="", code=2).stderr
    assert pentad.json("llm", "usage")["total"]["calls"] >= 2


def test_a_conversation_on_a_terminal(pentad: Cli, terminal: Callable[..., Terminal]) -> None:
    """On a terminal, `llm chat` asks again after each answer; Ctrl-D ends it."""
    screen = terminal(pentad, "llm", "chat", "--max-tokens", "5")
    screen.wait_for("> ")
    screen.press("Hello\n")
    screen.wait_for(" tokens")
    screen.shown = screen.shown.rpartition(" tokens")[2]
    screen.wait_for("> ")  # it asks again: keys pressed before would be another program's
    screen.press("\x04")
    assert screen.end() == 0


def test_names_complete_in_the_shell(pentad: Cli) -> None:
    """A shell completes commands, agents after a comma, and runs."""

    def completed(words: str) -> str:
        count = len(words.split(" ")) - 1
        environment = {
            **pentad.environment,
            "_PENTAD_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(count),
        }
        return subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False).stdout

    assert "plain,status" in completed("pentad sta")
    assert "plain,echo,slow" in completed("pentad run x --agents echo,sl")
    assert os.linesep.join(["plain,runs"]) in completed("pentad runs")


def test_vectors_and_batches(pentad: Cli, tmp_path: Path) -> None:
    """Texts become vectors; a file of requests becomes a file of answers; one bad line refuses them all."""
    [first, second] = [
        json.loads(line) for line in pentad("llm", "embed", "one text", "another").stdout.splitlines()
    ]
    assert len(first) == len(second) > 100
    (tmp_path / "texts").write_text("one text\n\nanother\n")
    document = pentad.json("llm", "embed", "--file", str(tmp_path / "texts"))
    assert (len(document["vectors"]), document["provider"]) == (2, "local")
    requests = tmp_path / "requests.jsonl"
    lines = [
        {"custom_id": "a", "prompt": "Name a fish.", "max_tokens": 4},
        {"custom_id": "b", "body": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}},
    ]
    requests.write_text("\n".join(map(json.dumps, lines)))
    batch = pentad.json("llm", "batch", "submit", str(requests), "--wait")
    assert (batch["state"], batch["succeeded"], batch["native"]) == ("completed", 2, False)
    results = [
        json.loads(line) for line in pentad("llm", "batch", "results", batch["batch_id"]).stdout.splitlines()
    ]
    assert [(item["custom_id"], bool(item["text"])) for item in results] == [("a", True), ("b", True)]
    assert (
        pentad.json("llm", "batch", "list")[0]
        == batch
        == pentad.json("llm", "batch", "show", batch["batch_id"])
    )
    assert pentad.json("llm", "batch", "cancel", batch["batch_id"]) == batch
    requests.write_text('{"custom_id": "a", "prompt": "x"}\n{"custom_id": "b"\n')
    refused = pentad("llm", "batch", "submit", str(requests), code=2)
    assert "line 2 is not JSON" in refused.stderr


def test_programs_that_speak_openais_interface(pentad: Cli) -> None:
    """The address that `pentad up` tells and the key in its file are all that such a program needs."""
    up = json.loads((pentad.state / "up.json").read_text())
    key = (pentad.state / "key").read_text().strip()
    with OpenAI(base_url=up["openai_base_url"], api_key=key) as client:
        assert "local" in {model.id for model in client.models.list()}
        answer = client.chat.completions.create(
            model="local", messages=[{"role": "user", "content": "Hello"}], max_tokens=4
        )
    assert answer.choices[0].message.content
