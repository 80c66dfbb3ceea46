"""The orchestrator: carries tasks through agents, whatever dies on the way."""
