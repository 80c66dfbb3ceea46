"""From the options of `pentad run` to the request that starts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pentad.orchestrator.v1 import orchestrator_pb2 as proto
from pentad_cli.failure import UsageProblem

STRATEGIES = ("sequential", "parallel", "adaptive")
CAPABILITY_MARK = "@"
_MOST_INSTRUCTION = 65536
_ON_FAILURE = {"fail": proto.ON_FAILURE_FAIL, "continue": proto.ON_FAILURE_CONTINUE}


@dataclass(frozen=True)
class RunOptions:
    """What `pentad run` was told. Agents are names, or `@capability` for whoever has it and is least busy."""

    instruction: str
    strategy: str = ""
    """Empty: sequential where agents are named, adaptive where none are."""
    agents: Sequence[str] = ()
    aggregator: str = ""
    candidates: Sequence[str] = ()
    first: str = ""
    router: str = ""
    rules: Sequence[str] = ()
    max_steps: int = 0
    timeout: timedelta | None = None
    step_timeout: timedelta | None = None
    attempts: int = 0
    on_failure: str = ""
    min_successes: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    project: str = ""

    @property
    def chosen_strategy(self) -> str:
        return self.strategy or ("sequential" if self.agents else "adaptive")

    def named_agents(self) -> list[str]:
        """Every agent or `@capability` that the options name, once."""
        rules = [parse_rule(rule).agent for rule in self.rules]
        named = [*self.agents, self.aggregator, *self.candidates, self.first, self.router, *rules]
        return list(dict.fromkeys(name for name in named if name))


def build_request(options: RunOptions) -> proto.CreateRunRequest:
    """The request, without its files. Raises UsageProblem for options that do not fit together."""
    _check(options)
    request = proto.CreateRunRequest(
        instruction=options.instruction, project=options.project, labels=options.labels
    )
    match options.chosen_strategy:
        case "sequential":
            request.sequential.steps.extend(_step(agent, options) for agent in options.agents)
        case "parallel":
            request.parallel.CopyFrom(_parallel(options))
        case _:
            request.adaptive.CopyFrom(_adaptive(options))
    if options.timeout is not None:
        request.limits.deadline.FromTimedelta(options.timeout)
    return request


def parse_rule(text: str) -> proto.AdaptiveRule:
    """`CONDITION => agent`; without an agent the run ends there. Raises UsageProblem for another form."""
    condition, arrow, agent = text.rpartition("=>")
    if not arrow or not condition.strip():
        raise UsageProblem(
            f"--rule {text!r} is not of the form 'CONDITION => AGENT'",
            "As in --rule 'output.rows > 1000 => analyst'.",
        )
    return proto.AdaptiveRule(condition=condition.strip(), agent=agent.strip())


def _check(options: RunOptions) -> None:
    strategy = options.chosen_strategy
    if not options.instruction.strip():
        raise UsageProblem(
            "the instruction is empty", 'Say what is to be done: pentad run "Brief me on this" …'
        )
    if len(options.instruction) > _MOST_INSTRUCTION:
        raise UsageProblem(
            f"the instruction is longer than {_MOST_INSTRUCTION} characters",
            "Put the long part into a --file.",
        )
    if strategy != "adaptive" and not options.agents:
        raise UsageProblem(
            f"--strategy {strategy} needs agents",
            "Name them with --agents a,b,c; `pentad agents list` shows what there is.",
        )
    for option, given, wanted in _belonging(options):
        if given and strategy != wanted:
            raise UsageProblem(f"{option} belongs to --strategy {wanted}, and this run is {strategy}")


def _belonging(options: RunOptions) -> list[tuple[str, object, str]]:
    """Options that mean something in one strategy alone."""
    return [
        ("--aggregator", options.aggregator, "parallel"),
        ("--min-successes", options.min_successes, "parallel"),
        ("--candidates", options.candidates, "adaptive"),
        ("--first", options.first, "adaptive"),
        ("--router", options.router, "adaptive"),
        ("--rule", options.rules, "adaptive"),
        ("--max-steps", options.max_steps, "adaptive"),
    ]


def _step(agent: str, options: RunOptions) -> proto.Step:
    step = proto.Step(parameters=options.parameters)
    if agent.startswith(CAPABILITY_MARK):
        step.capability = agent.removeprefix(CAPABILITY_MARK)
    elif agent:
        step.agent = agent
    if options.attempts:
        step.retry.max_attempts = options.attempts
    if options.step_timeout is not None:
        step.timeout.FromTimedelta(options.step_timeout)
    if options.on_failure:
        step.on_failure = _ON_FAILURE[options.on_failure]
    return step


def _parallel(options: RunOptions) -> proto.Parallel:
    parallel = proto.Parallel(
        steps=[_step(agent, options) for agent in options.agents], min_successes=options.min_successes
    )
    if options.aggregator:
        parallel.aggregator.CopyFrom(_step(options.aggregator, options))
    return parallel


def _adaptive(options: RunOptions) -> proto.Adaptive:
    return proto.Adaptive(
        candidates=[*options.agents, *options.candidates],
        first=options.first,
        router=options.router,
        rules=[parse_rule(rule) for rule in options.rules],
        max_steps=options.max_steps,
        step=_step("", options),
    )
