"""What operating systems do differently. Nothing else in this package asks which one this is.

``posix`` says what each function promises, and ``windows`` keeps the promise there.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    from model_zoo.systems import windows as system
else:
    from model_zoo.systems import posix as system

__all__ = ["system"]
