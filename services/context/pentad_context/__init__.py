"""Shared context: state that agents and runs have in common."""
