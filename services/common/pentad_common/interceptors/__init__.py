"""What happens around every RPC, one concern a file. `pentad_common.server` puts them in order."""
