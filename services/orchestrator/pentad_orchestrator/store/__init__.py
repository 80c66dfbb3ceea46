"""Where runs, workflows and artifacts are kept."""
