"""The file that `pentad agents new` writes."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from pentad_cli.failure import CliError, UsageProblem

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")

_TEMPLATE = Template('''"""$name: say here what the agent is for."""

from __future__ import annotations

from pentad_agents import BaseAgent, Context, Output, Task


class $class_name(BaseAgent):
    """Says what it was given. What this line says is what a model reads that chooses among agents."""

    name = "$name"
    CAPABILITIES = ["$name"]

    async def execute(self, task: Task, ctx: Context) -> Output:
        """Does one task. Save this file, and the running agent changes within two seconds."""
        lines = [f"Asked: {task.instruction}"]
        for part in task.inputs:
            ctx.progress(f"reading {part.name}")
            lines.append(f"- {part.name}: {part.size} bytes of {part.content_type}")
        for step in task.previous:
            lines.append(f"- {step.agent} came before with {len(step.outputs)} output(s)")

        # A model:      answer = await ctx.llm.invoke("Why is the sky blue?"); answer.text
        # State:        await ctx.state.shared.put("last-run", task.run_id)
        # Its settings: task.parameters.get("tone", "friendly")       from --param tone=…
        return Output.markdown("\\n".join(lines))
''')


def write_agent(name: str, folder: Path) -> Path:
    """Writes a new agent's file; returns its path.

    Raises UsageProblem AGENT_NAME_INVALID, CliError FILE_EXISTS or FOLDER_UNUSABLE.
    """
    if not NAME.fullmatch(name):
        raise UsageProblem(
            f"{name!r} cannot be an agent's name",
            "It begins with a lower-case letter and has at most 63 of a-z, 0-9, '-' and '_'.",
            "AGENT_NAME_INVALID",
        )
    path = folder / f"{name.replace('-', '_')}.py"
    text = _TEMPLATE.substitute(name=name, class_name=_class_name(name))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CliError(
            "FILE_EXISTS", f"{path} exists already", "Choose another name, or remove it first."
        ) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CliError("FOLDER_UNUSABLE", f"{path} cannot be written: {why}") from None
    return path


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in re.split("[-_]", name)) + "Agent"
