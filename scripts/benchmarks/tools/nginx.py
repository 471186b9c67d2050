"""An nginx of our own on loopback, in a temporary prefix, stopped at the end."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIGURATION = """
daemon off; worker_processes 2; pid {prefix}/nginx.pid; error_log {prefix}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
  client_body_temp_path {prefix}/tmp; proxy_temp_path {prefix}/tmp; fastcgi_temp_path {prefix}/tmp;
  uwsgi_temp_path {prefix}/tmp; scgi_temp_path {prefix}/tmp;
  server {{ listen 127.0.0.1:{port}; root {root}; {extra} }}
}}
"""


@contextlib.contextmanager
def serve(root: Path, prefix: Path, extra: str = "") -> Iterator[str]:
    """Serve a folder; yield the address without a slash at its end."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")
    if program is None:
        message = "nginx is missing: install the Debian package nginx"
        raise SystemExit(message)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix.mkdir(parents=True, exist_ok=True)
    for folder in (prefix.parent, prefix, root):
        folder.chmod(0o755)  # nginx's workers are another user when it is started by root
    configuration = prefix / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(prefix=prefix, port=port, root=root, extra=extra))
    server = subprocess.Popen([program, "-p", str(prefix), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if server.poll() is not None:
                message = f"nginx did not start: {server.stderr.read().decode() if server.stderr else ''}"
                raise SystemExit(message)
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)
