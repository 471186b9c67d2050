"""Peers: programs of the system, and Python packages in an environment of their own.

The environment is made once, in ``MODEL_ZOO_BENCH_PEERS`` or ``~/.cache/model-zoo-bench/peers``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("openvino-dev==2024.6.0", "pooch==1.8.2", "requests")
_OLDEST_THAT_FAILS = (3, 13)

POOCH = """
import sys, logging, pooch
pooch.get_logger().setLevel("ERROR")
pooch.retrieve(sys.argv[1], known_hash="sha256:" + sys.argv[3], path=sys.argv[2], fname="big.bin")
"""
REQUESTS = """
import hashlib, os, sys, requests
found = hashlib.sha256()
url, folder, expected = sys.argv[1:]
with requests.get(url, stream=True, timeout=30) as answer, open(folder + "/big.bin", "wb") as out:
    answer.raise_for_status()
    for piece in answer.iter_content(1 << 20):
        found.update(piece)
        out.write(piece)
    out.flush()
    os.fsync(out.fileno())
assert found.hexdigest() == expected
"""
# It has no option for its tree of models, and would report its use over the network.
OMZ = """
import sys
from pathlib import Path
sys.modules["openvino_telemetry"] = None
from omz_tools import _common
_common.MODEL_ROOT = Path(sys.argv.pop(1))
from omz_tools.omz_downloader import main
sys.exit(main())
"""


def environment(missing: list[str]) -> Path | None:
    """Return the folder of the peers' programs; None, with the reason noted, where it cannot be made."""
    named = os.environ.get("MODEL_ZOO_BENCH_PEERS")
    folder = Path(named or "~/.cache/model-zoo-bench/peers").expanduser()
    done = folder / "done"
    if not done.exists():
        python = _python()
        if python is None:
            missing.append("openvino-dev 2024.6.0 needs a Python up to 3.12, and there is none")
            return None
        print(f"making {folder} with {', '.join(PACKAGES)} …", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            subprocess.run([python, "-m", "venv", str(folder)], check=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
            subprocess.run(pip, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            missing.append(f"the peers from pip could not be installed: {error}")
            return None
        done.touch()
    return folder / "bin"


def _python() -> str | None:
    if sys.version_info < _OLDEST_THAT_FAILS:
        return sys.executable
    names = ("python3.12", "python3.11", "python3.10")
    return next((path for name in names if (path := shutil.which(name))), None)


def beside(name: str) -> str:
    """Return the path of a program beside the Python that runs the benchmark."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        message = f"{path} is missing: run this with the Python that model-zoo is installed for"
        raise SystemExit(message)
    return str(path)


def ours() -> str:
    """Return the path of our own program."""
    return beside("model-zoo")
