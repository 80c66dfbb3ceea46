"""Statistics of tables in one pass and little memory: delimited text, JSON arrays, JSON lines, Markdown
tables."""

from __future__ import annotations

from pentad_agents.tables.profile import profile_table

__all__ = ["profile_table"]
