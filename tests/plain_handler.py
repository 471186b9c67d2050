"""What the stand-ins of registries share: an HTTP/1.1 handler that says nothing and answers whole bodies."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler


class PlainHandler(BaseHTTPRequestHandler):
    """Answers with a status, headers (``_`` for ``-``) and a body of known length."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))
