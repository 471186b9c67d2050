"""Each of the two modules is tested where it works."""

from __future__ import annotations

import sys

collect_ignore = ["test_posix.py" if sys.platform == "win32" else "test_windows.py"]
