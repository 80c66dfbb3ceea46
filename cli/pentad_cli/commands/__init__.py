"""One module a command or group of commands. They import what is heavy (gRPC, rich) only when they run."""
