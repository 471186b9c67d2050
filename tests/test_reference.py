"""The reference in docs/ is what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_reference_is_up_to_date():
    done = subprocess.run(
        [sys.executable, "scripts/update_reference", "--check"],
        cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
