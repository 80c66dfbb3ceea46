"""The CEL engine without its command line.

`import cel` imports that as well, and with it prompt_toolkit: 0.2 s and 12 MB that no service has a use for.
"""

from __future__ import annotations

import sys
from types import ModuleType

_COMMAND_LINE = "cel.cli"

_standing_in = _COMMAND_LINE not in sys.modules
if _standing_in:
    sys.modules[_COMMAND_LINE] = ModuleType(_COMMAND_LINE)
try:
    import cel
finally:
    if _standing_in:
        del sys.modules[_COMMAND_LINE]

compile_expression = cel.compile

__all__ = ["compile_expression"]
