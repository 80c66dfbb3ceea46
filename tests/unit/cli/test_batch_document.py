"""Files of requests, as `pentad llm batch submit` reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pentad_cli.batch_document import read_requests
from pentad_cli.failure import UsageProblem
from pentad_client.llm import completion


def lines(*items: Any) -> bytes:
    return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items).encode()


def test_both_forms() -> None:
    """A line is a request in the client's words, or one of OpenAI's batch files."""
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {
        "model": "openai",
        "messages": [{"role": "user", "content": "x"}],
        "max_completion_tokens": 5,
        "stop": "END",
        "response_format": form,
        "temperature": None,
    }
    found = read_requests(
        lines(
            {"custom_id": "a", "prompt": "x", "system": "y", "max_tokens": 4},
            "",
            {"custom_id": "b", "method": "POST", "url": "/v1/chat/completions", "body": body},
        )
    )
    assert found == [
        ("a", {"prompt": "x", "system": "y", "max_output_tokens": 4}),
        (
            "b",
            {
                "model": "openai",
                "messages": [{"role": "user", "content": "x"}],
                "max_output_tokens": 5,
                "stop": ["END"],
                "json_schema": schema,
            },
        ),
    ]
    for _, asked in found:
        assert completion(**asked).messages


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no requests"),
        (lines("{"), "line 1 is not JSON"),
        (lines("[]"), "line 1 is not a JSON object"),
        (lines({"prompt": "x"}), "line 1 has no custom_id"),
        (lines({"custom_id": "a", "prompt": "x"}, {"custom_id": "b", "body": 1}), "line 2: body"),
        (lines({"custom_id": "a", "tools": []}), "line 1: tools cannot be given"),
        (lines({"custom_id": "a", "prompt": 5}), "line 1: messages is a list"),
    ],
)
def test_mistakes(data: bytes, message: str) -> None:
    """What is wrong with a file is told with its line."""
    with pytest.raises(UsageProblem, match=message):
        read_requests(data)
