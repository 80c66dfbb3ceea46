"""The broker on Redis: many bus processes, one state. docs/adr/0012 says how it is laid out."""
