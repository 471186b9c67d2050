"""Command names of other programs, by the group they are typed in, and what they are called here."""

from __future__ import annotations

ALIASES = {
    "": {
        **dict.fromkeys(("download", "get", "install"), "fetch"),
        **dict.fromkeys(("load", "optimize", "quantize", "compress"), "convert"),
        **dict.fromkeys(("run", "compile", "predict"), "infer"),
        **dict.fromkeys(("ls", "search", "find"), "list"),
        **dict.fromkeys(("clean", "gc", "prune"), "cache gc"),
        **dict.fromkeys(("delete", "remove", "rm"), "cache rm"),
        "benchmark": "bench",
        "show": "info",
        "validate": "catalog validate",
        "verify": "cache verify",
    },
    "cache": {
        **dict.fromkeys(("clear", "clean", "empty", "prune", "purge"), "gc or rm"),
        **dict.fromkeys(("delete", "remove"), "rm"),
        **dict.fromkeys(("list", "show"), "ls"),
        **dict.fromkeys(("check", "validate"), "verify"),
        "path": "info",
    },
    "catalog": {
        **dict.fromkeys(("check", "verify"), "validate"),
        "import": "import-omz",
    },
}
