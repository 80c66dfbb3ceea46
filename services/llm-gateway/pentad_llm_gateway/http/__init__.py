"""The HTTP door: OpenAI's interface, for programs that speak it, on the same gateway."""
