"""Where the bus keeps what must not be lost."""
