"""A headless Chromium for tests, spoken to over a pipe: no driver, no port, no package.

The protocol is the DevTools one: JSON messages ended by a zero byte, on file descriptors 3 and 4 of the
browser (``--remote-debugging-pipe``).
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any

from tests.tools import require_tool

if TYPE_CHECKING:
    from pathlib import Path

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    "--window-size=1280,900",
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ),
    "--remote-debugging-pipe",
]
PATIENCE = 30.0


class Browser:
    """One page in one browser; ``requests``, ``console`` and ``failures`` are what happened in it so far."""

    def __init__(self) -> None:
        program = require_tool("chromium")
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self.requests: list[str] = []
        self.console: list[str] = []
        self._number, self._buffer, self._session = 0, b"", None
        self._answers: dict[int, dict[str, Any]] = {}
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # above the two numbers that the browser expects its ends at, which the shell gives them
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 5) for end in (to_read, to_write)]
        argv = [program, *FLAGS, f"--user-data-dir={self._folder.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{ends[0]} 4>&{ends[1]}; exec "$@"', "bash", *argv],
            pass_fds=ends, stdin=-3, stdout=-3, stderr=-3, env={**os.environ, "HOME": self._folder.name},
        )  # fmt: skip
        for end in (to_read, to_write, *ends):
            os.close(end)

    def __enter__(self) -> Browser:
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            session = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = session["sessionId"]
            for domain in ("Page", "Runtime", "Network", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._folder.cleanup()

    # --- the protocol

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one message and return its answer."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while number not in self._answers:
            self._take(deadline)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _take(self, deadline: float) -> None:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._read, 1 << 20)
            assert data, "the browser is gone"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            self._answers[message["id"]] = message
            return
        params = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif message["method"] == "Runtime.consoleAPICalled":
            self.console.append(str([one.get("value") for one in params["args"]]))
        elif message["method"] == "Log.entryAdded":
            self.console.append(params["entry"]["text"])

    # --- what a person does

    def run(self, code: str) -> Any:
        """Return the value of a JavaScript expression in the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, code: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.run(f"Boolean({code})"):
            assert time.monotonic() < deadline, f"never true: {code}"
            time.sleep(0.02)

    def open(self, page: Path, place: str = "#/") -> None:
        """Open a page from disk, as somebody with a link does."""
        self.call("Page.navigate", url="about:blank")
        self.wait_for("location.href === 'about:blank'")
        self.requests.clear()
        self.call("Page.navigate", url=page.absolute().as_uri() + place)
        self.wait_for("location.protocol === 'file:' && document.readyState === 'complete'")

    def click(self, selector: str) -> None:
        """Click the middle of an element."""
        find = f"const node = document.querySelector({json.dumps(selector)});"
        self.run(f"{{ {find} node.scrollIntoView({{block: 'center', inline: 'center'}}); }}")
        middle = "const b = node.getBoundingClientRect(), x = b.x + b.width / 2, y = b.y + b.height / 2;"
        hit = "node.contains(document.elementFromPoint(x, y)) ? [x, y] : null"
        box = self.run(f"(() => {{ {find} {middle} return {hit}; }})()")
        assert box, f"{selector} cannot be clicked: it is hidden or covered"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, key: str, code: str | None = None, number: int = 0) -> None:
        """Press and release one key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        more = {"key": key, "code": code or key, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", **more, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **more)

    def type(self, text: str) -> None:
        """Type letters."""
        for letter in text:
            self.press(letter)

    def paste(self) -> str:
        """Return what pasting into a text field gives."""
        self.run(
            "{ const field = document.createElement('textarea'); field.id = 'pasted';"
            " document.body.append(field); field.focus(); }"
        )
        self.call("Input.dispatchKeyEvent", type="keyDown", key="v", commands=["paste"])
        text = str(self.run("document.getElementById('pasted').value"))
        self.run("document.getElementById('pasted').remove()")
        return text

    def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
