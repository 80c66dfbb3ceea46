"""The agent registry: who is there, what they can do, and who has time."""
