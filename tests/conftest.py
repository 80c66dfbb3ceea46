"""Fixtures for every test: real servers and databases, started when first asked for, one set a worker."""

from __future__ import annotations

pytest_plugins = [  # each after what it imports
    "tests.fixtures.ports",
    "tests.fixtures.postgres",
    "tests.fixtures.databases",
    "tests.fixtures.valkey",
    "tests.fixtures.buses",
    "tests.fixtures.otlp",
    "tests.fixtures.upstream",
    "tests.fixtures.llm_gateway",
    "tests.fixtures.deployments",
]
