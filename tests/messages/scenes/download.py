"""Files that do not arrive, or are not what was declared: exit 4 and 5."""

import contextlib
import socket
import ssl
import threading

import trustme

from tests.messages.stage import (
    DATA,
    Group,
    after,
    edits,
    hides,
    impatient,
    interrupted,
    model,
    serves,
    sets,
    warm,
    writes,
)
from tests.server import HTML, Answer, Server, redirect, status
from tests.tiny import tiny_onnx

scene = Group("download")
LONG = tiny_onnx(weights=50_000)


def https(stage, *answers, trusted):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = stage.closing.enter_context(Server(tls=context))
    if trusted:
        authority.cert_pem.write_to_path(str(stage.tmp / "ca.pem"))
        stage.env(REQUESTS_CA_BUNDLE=stage.tmp / "ca.pem")
    stage.entry("probe", DATA, {"url": server.add("/m.onnx", DATA, *answers)})


def no_tls(stage):
    """Let a server that knows no TLS answer before it is asked."""
    listener = stage.closing.enter_context(socket.create_server(("127.0.0.1", 0)))

    def answer():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

    thread = threading.Thread(target=answer)
    thread.start()
    stage.closing.callback(thread.join)
    stage.entry("probe", DATA, {"url": f"https://127.0.0.1:{listener.getsockname()[1]}/m.onnx"})


def several(stage):
    urls = [
        stage.server.url("/gone"),
        stage.server.add("/page", DATA, HTML),
        stage.server.add("/busy", DATA, status(503)),
    ]
    stage.entry("probe", DATA, *({"url": url} for url in urls))


def liar_and_gone(stage):
    urls = [stage.server.add("/liar", bytes(len(DATA))), stage.server.url("/gone")]
    stage.entry("probe", DATA, *({"url": url} for url in urls))


def folder(stage):
    (stage.catalog / "probe.onnx").unlink()
    (stage.catalog / "probe.onnx").mkdir()


def closed(stage):
    """Let nobody listen at the port, and nobody else get it."""
    taken = stage.closing.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    stage.edit("catalog/probe.yaml", f":{stage.server.port}/", f":{taken.getsockname()[1]}/")


def sha512(stage):
    import hashlib

    made = {
        "path": "m.onnx",
        "sha512": hashlib.sha512(b"other").hexdigest(),
        "sources": [{"url": stage.server.url("/m.onnx")}],
    }
    stage.entry("probe", DATA, artifacts=[made])


def tar(files, link=None):
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as target:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo("link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            target.addfile(info)
    return buffer.getvalue()


def archive(stage, data, strip=0):
    import hashlib

    stage.file("catalog/m.tar", data)
    made = {"path": "m.tar", "sha256": hashlib.sha256(data).hexdigest(), "sources": [{"file": "m.tar"}]}
    unpack = {"format": "tar", "strip": strip} if strip else {"format": "tar"}
    stage.entry("probe", data, artifacts=[made | {"size": len(data), "unpack": unpack}])


# refused for good
scene("401", "fetch probe", serves(status(401)))
scene("403", "fetch probe", serves(status(403)))
scene("404", "fetch probe", serves(status(404)))
scene("410", "fetch probe", serves(status(410)))
scene("451", "fetch probe", serves(status(451)))
scene("html-page", "fetch probe", serves(HTML))
scene("redirect-loop", "fetch probe", serves(redirect("/m.onnx")))
scene("redirect-elsewhere", "fetch probe", serves(redirect("ftp://example.org/m.onnx")))
scene("redirect-nowhere", "fetch probe", serves(Answer(status=302, body=b"")))
scene(
    "redirect-down-to-http",
    "fetch probe",
    lambda s: https(s, redirect("http://127.0.0.1:9/m.onnx"), trusted=True),
)
scene("certificate-unknown", "fetch probe", lambda s: https(s, trusted=False))
scene("no-tls-there", "fetch probe", no_tls, hides((r"\[SSL: .*\)", "[SSL: …])")))
scene(
    "certificates-absent",
    "fetch probe",
    lambda s: https(s, trusted=False),
    sets(REQUESTS_CA_BUNDLE="{tmp}/absent.pem"),
)
scene("several-sources-all-fail", "fetch probe", several)
scene("file-source-absent", "fetch probe", model(), lambda s: (s.catalog / "probe.onnx").unlink())
scene("file-source-is-a-folder", "fetch probe", model(), folder)

# for now
scene("500", "fetch probe", serves(status(500)))
scene("429-for-long", "fetch probe", serves(status(429, retry_after="3600")))
scene(
    "503-twice",
    "fetch probe",
    edits("attempts = 1", "attempts = 2", "settings.toml"),
    serves(status(503, retry_after="0")),
)
scene(
    "503-then-fine",
    "fetch probe",
    edits("attempts = 1", "attempts = 2", "settings.toml"),
    serves(status(503, retry_after="0"), Answer()),
)
scene("cut", "fetch probe", serves(Answer(cut=40), Answer(cut=0)))
scene(
    "cut-then-resumed",
    "fetch probe",
    edits("attempts = 1", "attempts = 2", "settings.toml"),
    serves(Answer(cut=40_000), Answer(), data=LONG),
)
scene("closed-at-once", "fetch probe", serves(Answer(raw=b"")))
scene("stalled", "fetch probe", impatient, serves(Answer(cut=40, stall=2), Answer(cut=0, stall=2)))
scene("nothing-at-all", "fetch probe", impatient, serves(Answer(delay=2)))
scene("not-http", "fetch probe", serves(Answer(raw=b"hello\r\n\r\n")))
scene("too-short", "fetch probe", serves(Answer(framing="close", content=DATA[:50])))
scene("nobody-listens", "fetch probe", serves(), closed)
scene("no-such-host", "fetch probe", serves(), edits("127.0.0.1", "no-such-host.invalid"))
scene(
    "proxy-is-down",
    "fetch probe",
    serves(),
    edits("127.0.0.1", "example.org"),
    sets(http_proxy="http://127.0.0.1:9"),
)
scene(
    "proxy-is-no-address",
    "fetch probe",
    serves(),
    edits("127.0.0.1", "example.org"),
    sets(http_proxy="http://[x"),
)
scene(
    "mirror-fails-too",
    "fetch probe",
    serves(status(404)),
    sets(MODEL_ZOO_MIRRORS="{server}/m=http://127.0.0.1:9/n"),
)
scene("interrupted", "fetch probe", serves(Answer(act=interrupted)))
scene("interrupted-json", "--progress json fetch probe", serves(Answer(act=interrupted)), keep="interrupted")

# wrong bytes
scene("digest", "fetch probe", serves(Answer(content=bytes(len(DATA)))))
scene("digest-sha512", "fetch probe", serves(artifacts=None), sha512)
scene("size", "fetch probe", serves(Answer(content=DATA + b"more")))
scene("digest-of-a-local-file", "fetch probe", model(), writes("catalog/probe.onnx", bytes(len(DATA))))
scene("size-of-a-local-file", "fetch probe", model(), writes("catalog/probe.onnx", b"short"))
scene("wrong-bytes-then-gone", "fetch probe", liar_and_gone)
scene(
    "too-large-for-the-disk",
    "fetch probe",
    serves(),
    edits(f"size: {len(DATA)}", f"size: {10**18}"),
    hides((r"[\d.,]+ (\w*B|bytes) (?=free)|\d{15,} (?=bytes, run)", "<n> ")),
)

# rules of the run
scene("offline", "--offline fetch probe", serves())
scene("offline-convert", "--offline convert probe", serves())
scene(
    "offline-several",
    "--offline fetch probe other",
    serves(),
    model("other"),
    lambda s: s.entry("other", DATA, {"url": "https://example.org/m"}),
)
scene("offline-uri", "--offline fetch {server}/m.onnx")
scene(
    "offline-hf-branch",
    "--offline fetch probe",
    lambda s: s.entry(
        "probe",
        DATA,
        artifacts=[
            {
                "path": "m.onnx",
                "integrity": "first-use",
                "sources": [{"hf": "org/net", "revision": "main", "file": "m.onnx"}],
            }
        ],
    ),
)
scene(
    "require-pinned", "fetch --require-pinned probe", serves(), edits("sha256:", "integrity: first-use\n  #")
)
scene("first-use", "fetch probe", serves(), edits("sha256:", "integrity: first-use\n  #"))
scene("fetched", "fetch probe", serves())
scene("fetched-already", "fetch probe", warm)
scene("fetched-quietly", "--quiet fetch probe", serves())
scene("fetched-verbosely", "--verbose fetch probe", serves())
scene("fetched-with-json-events", "--progress json fetch probe", serves())
scene("fetched-to-a-folder", "fetch -o out probe", serves())
scene(
    "fetched-as-json",
    "fetch --json probe gone",
    serves(),
    lambda s: s.entry("gone", LONG, {"url": s.server.url("/gone")}),
)
scene(
    "adopted", "fetch probe", serves(), sets(MODEL_ZOO_ADOPT="{tmp}/mine"), writes("mine/probe/m.onnx", DATA)
)
scene(
    "adopted-shown",
    "info probe",
    serves(),
    sets(MODEL_ZOO_ADOPT="{tmp}/mine"),
    writes("mine/probe/m.onnx", DATA),
    after("fetch probe"),
)
scene("unpack-not-an-archive", "fetch probe", model(), lambda s: archive(s, b"hello" * 20))
scene("unpack-leads-out", "fetch probe", model(), lambda s: archive(s, tar({"../evil": b"x"})))
scene("unpack-link-leads-out", "fetch probe", model(), lambda s: archive(s, tar({}, link="../../etc/passwd")))
scene("unpack-nothing-left", "fetch probe", model(), lambda s: archive(s, tar({"m.onnx": b"x"}), strip=3))
scene("unpack-clash", "fetch probe", model(), lambda s: archive(s, tar({"A": b"x", "a": b"y"})))
scene(
    "replace-not-text", "fetch probe", model(replace=[{"file": "m.onnx", "pattern": "b", "replacement": "x"}])
)
scene(
    "replace-does-not-fit",
    "fetch probe",
    model(data=b"text", replace=[{"file": "m.onnx", "pattern": "absent", "replacement": "x", "count": 1}]),
)
