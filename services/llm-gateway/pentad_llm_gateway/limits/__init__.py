"""Budgets and rate limits of callers."""
