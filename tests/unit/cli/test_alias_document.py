"""The operator's names for models, as the command line shows them."""

from __future__ import annotations

from pentad.llm.v1 import llm_pb2
from pentad_cli.alias_document import alias_document, alias_row

UP = llm_pb2.Deployment(model="a/m", weight=3, available=True)
DOWN = llm_pb2.Deployment(model="b/m", weight=1, unavailable_reason="its circuit is open")


def test_a_name_for_several() -> None:
    """Its models are told with their weights; it can be asked while one of them can."""
    alias = llm_pb2.Alias(name="house", deployments=[UP, DOWN])
    assert alias_row(alias, "house") == ["*", "house", "", "", "asks a/m (3), b/m (1)", "yes"]
    assert [item["available"] for item in alias_document(alias)["deployments"]] == [True, False]


def test_a_name_that_cannot_be_asked() -> None:
    """When none of its models can be asked, each says why."""
    alias = llm_pb2.Alias(name="spare", deployments=[DOWN])
    assert alias_row(alias, "") == ["", "spare", "", "", "asks b/m", "b/m: its circuit is open"]
