"""The agents' folder: what becomes of good files, broken files and changes."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pentad_agents.folder import AgentFolder, FileReport
from pentad_agents.loader import LoadedFile, Loader
from tests.integration.agents_host import until

GOOD = """
from pentad_agents import BaseAgent

class {cls}(BaseAgent):
    \"\"\"Says {says}.\"\"\"
    CAPABILITIES = ["say"]
    async def execute(self, task, ctx):
        return "{says}"
"""

BROKEN: dict[str, tuple[str | bytes, str, int]] = {
    "syntax.py": ("x = 1\ndef f(:\n", "SYNTAX_ERROR", 2),
    "imports.py": ("\nimport no_such_module\n", "IMPORT_ERROR", 2),
    "raises.py": ("def f():\n    raise KeyboardInterrupt\nf()\n", "IMPORT_ERROR", 3),
    "exits.py": ("import sys\nsys.exit(0)\n", "IMPORT_ERROR", 2),
    "exits_hard.py": ("import os\nos._exit(0)\n", "IMPORT_ERROR", 0),
    "crashes.py": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "IMPORT_ERROR", 0),
    "loops.py": ("while True: pass\n", "IMPORT_ERROR", 0),
    "latin.py": (b"x = '\xe9'\n", "SYNTAX_ERROR", 1),
    "empty.py": ("", "NO_AGENT", 0),
    "helper.py": ("from pentad_agents import BaseAgent\n", "NO_AGENT", 0),
    "sync.py": (GOOD.format(cls="Sync", says="a").replace("async def", "def"), "INVALID_AGENT", 4),
    "no_skill.py": (GOOD.format(cls="NoSkill", says="a").replace('["say"]', "[]"), "INVALID_AGENT", 4),
    "one_str.py": (GOOD.format(cls="OneStr", says="a").replace('["say"]', '"say"'), "INVALID_AGENT", 4),
    "bad_name.py": (
        GOOD.format(cls="B", says="a").replace("CAP", "name = 'A b'\n    CAP"),
        "INVALID_AGENT",
        4,
    ),
    "wants_more.py": (
        GOOD.format(cls="W", says="a") + "\n    def __init__(self, x): pass\n",
        "INVALID_AGENT",
        4,
    ),
    "twice.py": (
        GOOD.format(cls="Same", says="a") + GOOD.format(cls="SameAgent", says="b"),
        "DUPLICATE_NAME",
        0,
    ),
    "setup_fails.py": (
        GOOD.format(cls="S", says="a") + "\n    async def setup(self):\n        raise ValueError('no')\n",
        "INVALID_AGENT",
        11,
    ),
}


class Served:
    """What the folder asked to be served."""

    def __init__(self) -> None:
        self.files: dict[str, LoadedFile] = {}
        self.changes: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def change(self, old: LoadedFile | None, new: LoadedFile | None) -> None:
        self.changes.append((old.names if old else (), new.names if new else ()))
        if old:
            self.files.pop(old.path.name, None)
        if new:
            self.files[new.path.name] = new

    async def say(self, file: str) -> str:
        return str(await self.files[file].agents[0].agent.execute(None, None))  # type: ignore[arg-type]


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
async def folder(tmp_path: Path, served: Served) -> AsyncIterator[AgentFolder]:
    yield AgentFolder(tmp_path, served.change, check_seconds=2.0)


async def says_newer(served: Served) -> bool:
    return await served.say("new.py") == "newer"


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def report_of(folder: AgentFolder, name: str) -> FileReport:
    return {report.path: report for report in folder.reports}[name]


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_file(name: str, tmp_path: Path, folder: AgentFolder, served: Served) -> None:
    """A file that cannot be used is listed with its reason and line, and its neighbour is served all the
    same."""
    content, reason, line = BROKEN[name]
    write(tmp_path / name, content)
    write(tmp_path / "good.py", GOOD.format(cls="Good", says="good"))
    await folder.refresh(wait=15.0)
    report = report_of(folder, name)
    assert (report.reason, report.line) == (reason, line), report
    assert report.message and report.agents == ()
    assert report_of(folder, "good.py").agents == ("good",)
    assert await served.say("good.py") == "good"


async def test_message_names_the_line(tmp_path: Path, folder: AgentFolder) -> None:
    """The message says the line in the file, and the detail is a traceback that begins there."""
    write(tmp_path / "x.py", "def f():\n    return 1 / 0\n\nf()\n")
    await folder.refresh()
    report = report_of(folder, "x.py")
    assert report.message == "line 4: ZeroDivisionError: division by zero"
    assert report.detail.splitlines()[1].endswith('x.py", line 4, in <module>')
    assert "importlib" not in report.detail


async def test_link_out_of_the_folder_is_not_imported(tmp_path: Path, served: Served) -> None:
    """A link to a file outside is refused before anything of it runs."""
    inside, outside = tmp_path / "agents", tmp_path / "elsewhere.py"
    inside.mkdir()
    write(outside, f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    (inside / "link.py").symlink_to("../elsewhere.py")
    (inside / "dangling.py").symlink_to("nowhere.py")
    folder = AgentFolder(inside, served.change)
    await folder.refresh()
    assert [report.reason for report in folder.reports] == ["OUTSIDE_FOLDER", "OUTSIDE_FOLDER"]
    assert not (tmp_path / "ran").exists()


async def test_ignored_names(tmp_path: Path, folder: AgentFolder) -> None:
    """Private and hidden files, packages and other files are no agents."""
    (tmp_path / "package").mkdir()
    (tmp_path / "folder.py").mkdir()
    for name in ("_private.py", ".hidden.py", "package/inner.py", "notes.txt", "__init__.py"):
        write(tmp_path / name, "raise ValueError")
    await folder.refresh()
    assert folder.reports == []


async def test_edits(tmp_path: Path, folder: AgentFolder, served: Served) -> None:
    """An edit is picked up, even one of the same length within the same moment; a broken one keeps the old
    version."""
    path = tmp_path / "a.py"
    write(path, GOOD.format(cls="A", says="one"))
    await folder.refresh()
    first = served.files["a.py"]
    write(path, GOOD.format(cls="A", says="two"))
    await folder.refresh()
    assert await served.say("a.py") == "two"
    assert await first.agents[0].agent.execute(None, None) == "one"  # type: ignore[arg-type]
    write(path, "def")
    await folder.refresh()
    report = report_of(folder, "a.py")
    assert report.reason == "SYNTAX_ERROR" and report.agents == ("a",)
    assert "the version before goes on" in report.message
    assert await served.say("a.py") == "two"
    path.unlink()
    await folder.refresh()
    assert folder.reports == [] and served.files == {}
    assert served.changes == [((), ("a",)), (("a",), ("a",)), (("a",), ())]


async def test_nothing_changes(tmp_path: Path, folder: AgentFolder, served: Served) -> None:
    """Files that stay as they are, good or broken, are loaded once."""
    write(tmp_path / "a.py", GOOD.format(cls="A", says="one"))
    write(tmp_path / "b.py", "import nope")
    await folder.refresh()
    times = [report.load_time for report in folder.reports]
    await folder.refresh()
    await folder.refresh()
    assert [report.load_time for report in folder.reports] == times
    assert len(served.changes) == 1


async def test_siblings(tmp_path: Path, folder: AgentFolder, served: Served) -> None:
    """A file may import its siblings, by dot or by name, and is loaded again when one of them changes."""
    for name, line in (("a.py", "from . import _words"), ("b.py", "import _words")):
        write(
            tmp_path / name,
            f"{line}\n" + GOOD.format(cls=name[0].upper(), says="x").replace('"x"', "_words.X"),
        )
    await folder.refresh()
    assert [report.reason for report in folder.reports] == ["IMPORT_ERROR", "IMPORT_ERROR"]
    for word in ("one", "two"):
        write(tmp_path / "_words.py", f"X = {word!r}\n")
        await folder.refresh()
        assert [await served.say("a.py"), await served.say("b.py")] == [word, word]
    assert "_words" not in sys.modules or sys.modules["_words"].X == "two"


async def test_duplicate_names(tmp_path: Path, folder: AgentFolder, served: Served) -> None:
    """The first file keeps a name; the second is told, and gets it when it is free."""
    write(tmp_path / "b.py", GOOD.format(cls="Same", says="b"))
    await folder.refresh()
    write(tmp_path / "a.py", GOOD.format(cls="Same", says="a"))
    await folder.refresh()
    report = report_of(folder, "a.py")
    assert report.reason == "DUPLICATE_NAME" and "b.py" in report.message
    assert list(served.files) == ["b.py"]
    (tmp_path / "b.py").unlink()
    await folder.refresh()
    assert await served.say("a.py") == "a"


async def test_slow_file_holds_nobody_up(tmp_path: Path, served: Served) -> None:
    """While a file that never ends is being tried, a new one is in service in well under two seconds."""
    write(tmp_path / "loops.py", "while True: pass\n")
    write(tmp_path / "first.py", GOOD.format(cls="First", says="first"))
    folder = AgentFolder(tmp_path, served.change, check_seconds=30.0)
    watching = asyncio.create_task(folder.watch())
    try:
        await until(lambda: "first.py" in served.files)
        began = time.monotonic()
        write(tmp_path / "new.py", GOOD.format(cls="New", says="new"))
        await until(lambda: "new.py" in served.files)
        first = time.monotonic() - began
        write(tmp_path / "new.py", GOOD.format(cls="New", says="newer"))
        began = time.monotonic()
        assert first < 2.0
        assert await until(lambda: says_newer(served)) < 2.0
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def test_output_at_import(tmp_path: Path) -> None:
    """What a file prints when it is imported does not get into the check's answer."""
    write(tmp_path / "prints.py", "print('{}')\n" + GOOD.format(cls="P", says="p"))
    loaded = await Loader(tmp_path).load(tmp_path / "prints.py")
    assert loaded.names == ("p",)


async def test_several_agents_in_a_file(tmp_path: Path) -> None:
    """A file may hold several agents and a base of theirs, which is none itself."""
    text = """
    from pentad_agents import BaseAgent

    class Base(BaseAgent):
        CAPABILITIES = ["count"]

    class WordCounterAgent(Base):
        async def execute(self, task, ctx): return 1

    class HTTPFetcher(Base):
        async def execute(self, task, ctx): return 2
    """
    write(tmp_path / "many.py", text.replace("\n    ", "\n"))
    loaded = await Loader(tmp_path).load(tmp_path / "many.py")
    assert loaded.names == ("word-counter", "http-fetcher")


async def test_unreadable_file(tmp_path: Path, folder: AgentFolder) -> None:
    """A file that may not be read is listed as such."""
    write(tmp_path / "x.py", GOOD.format(cls="X", says="x"))
    (tmp_path / "x.py").chmod(0)
    if os.access(tmp_path / "x.py", os.R_OK):  # root reads everything
        (tmp_path / "x.py").unlink()
        os.mkfifo(tmp_path / "x.py")
    await folder.refresh()
    assert report_of(folder, "x.py").reason == "IMPORT_ERROR"
