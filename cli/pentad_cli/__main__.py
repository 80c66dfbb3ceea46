"""`python -m pentad_cli` is the `pentad` command."""

from __future__ import annotations

import sys

from pentad_cli.main import main

sys.exit(main())
