"""The profiler: what is in a table."""

from __future__ import annotations

from pentad_agents import AgentError, BaseAgent, Context, Output, Task
from pentad_agents.material import gather
from pentad_agents.tables.part import profile_part
from pentad_agents.tables.rendering import profile_markdown


class Profiler(BaseAgent):
    """Computes statistics of tables (CSV, TSV, JSON records): types, missing values, quantiles, outliers,
    correlations, groups and gaps in time. Needs no model.
    """

    CAPABILITIES = ("profile", "statistics", "read-tables")
    TAGS = ("csv", "tsv", "json", "table", "data", "measurements", "numbers")
    MAX_CONCURRENCY = 2

    async def execute(self, task: Task, ctx: Context) -> list[Output]:
        """Profiles each table among the inputs. Raises AgentError NOT_A_TABLE when there is none."""
        material = await gather(task)
        if not material.tables:
            names = ", ".join(document.name for document in material.documents)
            raise AgentError(
                "NOT_A_TABLE",
                f"{names}: not a table (CSV, TSV, JSON records), and the profiler reads only tables. "
                "For prose and single documents use the summarizer, the analyst or the critic.",
            )
        outputs = []
        for part in material.tables:
            profile = await profile_part(part, ctx)
            profile["notes"] += material.problems
            name = f"profile of {part.name or 'the table'}"
            outputs += [Output(profile, name), Output.markdown(profile_markdown(profile), name)]
        return outputs
