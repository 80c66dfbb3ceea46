"""The `pentad` command."""
