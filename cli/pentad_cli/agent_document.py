"""Agents and their files, as `pentad agents` prints them."""

from __future__ import annotations

from typing import Any

from pentad.registry.v1 import registry_pb2
from pentad_cli.run_document import moment
from pentad_cli.units import iso_time

# The best that one of its instances is makes what an agent is.
_BEST_FIRST = ("active", "busy", "starting", "draining", "suspect", "gone", "unspecified")


def status_name(status: int) -> str:
    """`active` for INSTANCE_STATUS_ACTIVE."""
    name = registry_pb2.InstanceStatus.Name(registry_pb2.InstanceStatus.ValueType(status))
    return name.removeprefix("INSTANCE_STATUS_").lower()


def agent_document(agent: registry_pb2.Agent) -> dict[str, Any]:
    """An agent with its instances."""
    card = agent.card
    instances = [_instance(instance) for instance in agent.instances]
    statuses = [instance["status"] for instance in instances] or ["gone"]
    return {
        "name": card.name,
        "status": min(statuses, key=_BEST_FIRST.index),
        "version": card.version,
        "description": card.description,
        "capabilities": list(card.capabilities),
        "tags": list(card.tags),
        "source": card.source,
        "instances": instances,
    }


def _instance(instance: registry_pb2.AgentInstance) -> dict[str, Any]:
    return {
        "instance": instance.instance,
        "status": status_name(instance.status),
        "in_flight": instance.load.in_flight,
        "capacity": max(1, instance.load.capacity),
        "registered": iso_time(moment(instance, "register_time")),
        "heartbeat": iso_time(moment(instance, "heartbeat_time")),
    }


def file_document(file: registry_pb2.AgentFile) -> dict[str, Any]:
    """A file of a host's folder; `reason` is empty for one that is loaded."""
    return {
        "path": file.path,
        "status": registry_pb2.AgentFile.Status.Name(file.status).removeprefix("STATUS_").lower(),
        "agents": list(file.agents),
        "reason": file.reason,
        "message": file.message,
        "detail": file.detail,
        "loaded": iso_time(moment(file, "load_time")),
        "host": file.host,
    }
