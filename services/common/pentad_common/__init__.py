"""What every Pentad service stands on: server, authentication, database, errors, settings, telemetry."""
