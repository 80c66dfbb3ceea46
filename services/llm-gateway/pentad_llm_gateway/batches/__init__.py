"""Batches: many requests handed in at once and answered some time later, whatever happens to the gateway."""
