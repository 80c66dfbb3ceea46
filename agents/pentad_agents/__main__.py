"""`python -m pentad_agents`: the host, started as the services are."""

from __future__ import annotations

import sys

from pentad_agents.host import main

if __name__ == "__main__":
    sys.exit(main())
