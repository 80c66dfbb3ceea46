"""The LLM gateway: one door to every model.

Empty on purpose: the local model's process imports this package and must stay small.
"""
