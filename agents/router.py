"""The router: who goes on in an adaptive run."""

from __future__ import annotations

from collections.abc import Sequence

from pentad_agents import AgentError, BaseAgent, Candidate, Context, Final, Handoff, Task
from pentad_agents.material import Kind, kind_of
from pentad_agents.prose.phrasing import why_without
from pentad_agents.prose.words import content_words

DONE = "done"
NAMED = 80.0
CLOSE = 8.0  # points: within these of the best, a candidate is as good
MODEL_SECONDS = 10.0

READING: dict[Kind, str] = {"table": "profile", "prose": "summarize", "data": "summarize"}
"""The capability that reads each kind of input first."""
WORK = {"profile": 90.0, "summarize": 85.0, "analyze": 70.0, "critique": 40.0}
"""What capabilities are worth while their work is not done."""
CHECKING = frozenset(
    content_words("review critique criticise check proofread feedback improve quality correct")
)


class Router(BaseAgent):
    """Chooses the agent that goes on in an adaptive run, or ends it: by what the input is, what is done
    already and what the agents can do; a model decides among those that fit equally well."""

    CAPABILITIES = ("route", "choose-agent")
    TAGS = ("router", "adaptive", "dispatch")
    MAX_CONCURRENCY = 8

    async def execute(self, task: Task, ctx: Context) -> Handoff | Final:
        """A Handoff to one of the task's candidates, or Final.

        Raises AgentError NO_CANDIDATES, and EMPTY_INPUT or BINARY_INPUT if nobody can read the inputs.
        """
        if not task.candidates:
            raise AgentError("NO_CANDIDATES", "there is no agent to choose from")
        scores = rank(task, await _kinds(task))
        best, score = scores[0]
        close = [name for name, value in scores if score - value <= CLOSE and value > 0]
        how = "by rules"
        if best != DONE and len(close) > 1:
            best, how = await _ask(task, ctx, close)
        answer = {"next": best, "how": how, "scores": {name: round(value, 1) for name, value in scores}}
        ctx.log.info("chose", **answer)
        return Final(answer) if best == DONE else Handoff(best, answer)


def rank(task: Task, kinds: Sequence[Kind]) -> list[tuple[str, float]]:
    """Candidates and `done`, the best first. Nobody goes twice, so every run ends.

    First whoever reads this kind of input, then who makes something of it, at last who writes it up. An agent
    whom the instruction asks for by its words comes before.
    """
    asked = set(content_words(task.instruction))
    tried = {step.agent for step in task.previous}
    finished = {step.agent for step in task.previous if not step.failed}
    able = {candidate.agent: set(candidate.capabilities) for candidate in task.candidates}
    done = {capability for name in finished for capability in able.get(name, ())}
    scores = {}
    for candidate in task.candidates:
        if candidate.agent not in tried:
            scores[candidate.agent] = _score(candidate, kinds, asked, done, bool(finished))
    written = "write" in done or (not scores and bool(finished))
    scores[DONE] = 100.0 if written else 1.0
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def _score(
    candidate: Candidate, kinds: Sequence[Kind], asked: set[str], done: set[str], something: bool
) -> float:
    able = set(candidate.capabilities)
    known = able & (WORK.keys() | {"write"})
    named = set(content_words(candidate.agent.replace("-", " ").replace("_", " ")))
    words = set(content_words(f"{candidate.description} {' '.join(able)}")) | named
    score = min(30.0, 4.0 * len(asked & words)) + (NAMED if named and named <= asked else 0.0)
    if not known:
        return 20.0 + score if asked & words else 0.0
    if "write" in known:
        return (60.0 if something else 10.0) + score
    useful = known - done
    if "profile" in useful and "table" not in kinds:
        useful.discard("profile")
    if "summarize" in useful and kinds and not any(READING[kind] == "summarize" for kind in kinds):
        useful.discard("summarize")
    if "critique" in useful and not asked & CHECKING:
        useful.discard("critique")
    return max((WORK[capability] for capability in useful), default=-score) + score


async def _kinds(task: Task) -> list[Kind]:
    """What the inputs are. Raises AgentError EMPTY_INPUT or BINARY_INPUT if nobody could use any of them."""
    kinds: list[Kind] = []
    problems: list[AgentError] = []
    for part in task.inputs:
        try:
            kinds.append(await kind_of(part))
        except AgentError as error:
            problems.append(error)
    if problems and not kinds:
        raise problems[0]
    return kinds


async def _ask(task: Task, ctx: Context, names: Sequence[str]) -> tuple[str, str]:
    """The model's choice among agents that fit equally well; the first of them if it has none."""
    about = {candidate.agent: candidate.description for candidate in task.candidates}
    lines = "\n".join(f"- {name}: {about.get(name, '')}" for name in names)
    schema = {
        "type": "object",
        "properties": {"next": {"type": "string", "enum": list(names)}},
        "required": ["next"],
        "additionalProperties": False,
    }
    try:
        answer = await ctx.llm.invoke(
            f"Task: {task.instruction}\n\nAgents:\n{lines}\n\nWhich agent should go on?",
            system="You choose the agent that fits the task best. Answer with JSON.",
            json_schema=schema,
            max_tokens=40,
            temperature=0.0,
        )
        choice = answer.data["next"] if isinstance(answer.data, dict) else None
        if choice in names:
            return str(choice), f"by {answer.provider}/{answer.model}, among {', '.join(names)}"
        return names[0], "by rules: the model named nobody who fits"
    except Exception as error:
        return names[0], f"by rules. {why_without(error)}".strip()
