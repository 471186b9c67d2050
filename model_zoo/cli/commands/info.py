"""``info``: everything known about a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import json_option, reference_argument
from model_zoo.cli.output import print_fields, print_table, print_title
from model_zoo.text import human_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_zoo.cli.session import Session


@click.command("info")
@reference_argument
@json_option("Print one object.")
@click.pass_obj
def info_command(session: Session, reference: str) -> None:
    """Print everything known about a model: license, files, sources, integrity, and what is cached."""
    from model_zoo.zoo.info import facts

    model = session.zoo.planner.request(reference).model
    origins = {artifact.path: session.zoo.cache.adopted_from(artifact) for artifact in model.artifacts}
    adopted = {path: origin for path, origin in origins.items() if origin}
    known = facts(session.zoo, model) | {"adopted": adopted}
    session.print_result(lambda: _print(known), known)


def _print(known: Mapping[str, Any]) -> None:
    print_fields(_fields(known))
    if known["artifacts"]:
        print_title("files:")
        print_table([_artifact_row(artifact) for artifact in known["artifacts"]])
    if prepared := known["recipe"].get("inputs"):
        print_title("inputs:")
        print_table([_input_row(port) for port in prepared])
    for precision, ports in [*known["ports"].items()][:1]:
        print_title(f"ports of the IR in {precision}:")
        print_table(_port_rows(ports))
    print_title("cached:")
    print_fields(_cached_fields(known))


def _cached_fields(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    cached = known["cached"]
    rows = [("files", cached["files"] or "no")]
    rows += [(f"IR {precision}", path or "no") for precision, path in cached["ir"].items()]
    rows += [(f"{path} adopted", f"from {origin}") for path, origin in known["adopted"].items()]
    path = next((path for path in cached["ir"].values() if path), None)
    if known["folder"] and path:
        from model_zoo.schema import opening_line

        rows.append(("open it with", opening_line(known["opens"], f'r"{path}"')))
    return [(f"  {name}", value) for name, value in rows]


def _fields(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    said = known["in_words"]
    pairs = [(name, str(known[name])) for name in ("name", "task", "framework", "description") if known[name]]
    pairs += [("feeds", text) for text in said["feeds"]]
    pairs += [("gives", text) for text in said["gives"]]
    pairs += [("needs", said["needs"]), ("license", said["license"])]
    pairs += [("notice", str(known["notice"]))] if known["notice"] else []
    pairs += [("metrics", text) for text in said["metrics"]]
    pairs += [("cost", said["complexity"])] if said["complexity"] else []
    pairs += [(f"upstream {name}", address) for name, address in (known["upstream"] or {}).items()]
    if known["stages"]:
        pairs.append(("stages", ", ".join(known["stages"])))
    else:
        pairs.append(("precisions", ", ".join(known["precisions"])))
    if known["folder"]:
        opens = f" for {known['opens']}" if known["opens"] else ""
        pairs.append(("becomes", f"a folder of IRs, tokenizers and configurations{opens}"))
    pairs.append(("integrity", known["integrity"]))
    about = "" if known["size_is_exact"] or known["size"] is None else "about "
    pairs.append(("size", about + human_size(known["size"])))
    if not known["convertible"]:
        pairs.append(("not convertible", str(known["reason"])))
    return [*pairs, ("catalog", known["catalog"])]


def _port_rows(ports: Mapping[str, Any]) -> list[list[str]]:
    """Return the inputs and outputs of an IR, as its manifest has them."""
    return [
        [f"  {kind}", port["name"], port["type"], "?" if port["shape"] is None else _dims(port["shape"])]
        for kind, several in (("input", "inputs"), ("output", "outputs"))
        for port in ports[several]
    ]


def _dims(shape: Sequence[int | str]) -> str:
    return f"[{','.join('?' if dim == -1 else str(dim) for dim in shape)}]"


def _input_row(port: Mapping[str, Any]) -> list[str]:
    shape = ",".join(str(dim) for dim in port.get("shape") or ())
    shown = [f"  {port.get('name', '')}", str(port.get("type", "")), f"[{shape}]", port.get("layout", "")]
    shown += [f"{field} {_numbers(port[field])}" if field in port else "" for field in ("mean", "scale")]
    return [*shown, "reverse channels" if port.get("reverse_channels") else ""]


def _numbers(value: float | list[float]) -> str:
    return " ".join(f"{number:g}" for number in (value if isinstance(value, (list, tuple)) else [value]))


def _artifact_row(artifact: Mapping[str, Any]) -> list[str]:
    digest = next(iter(artifact["digests"]), "no digest")
    return [
        f"  {artifact['path']}",
        human_size(artifact["size"] or artifact["approximate_size"]),
        digest,
        " | ".join(artifact["sources"]),
    ]
