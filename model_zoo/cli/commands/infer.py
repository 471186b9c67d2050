"""``infer`` and ``bench``: compile a model and run it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model_zoo.cli.options import (
    converting_options,
    device_option,
    json_option,
    reference_argument,
    with_default,
)
from model_zoo.cli.output import print_fields, print_json, print_table
from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from model_zoo.cli.session import Session
    from model_zoo.runtime.inference.outputs import Box, TensorSummary, TopClass
    from model_zoo.runtime.inference.run import Result

_SHOWN_SHAPE = 6


@click.command("infer")
@reference_argument
@click.argument("inputs", nargs=-1, metavar="[INPUT…]", type=click.Path(path_type=Path))
@device_option
@with_default("--top", type=click.IntRange(1), default=5, metavar="K", help="Number of classes to show.")
@click.option(
    "--config", multiple=True, metavar="KEY=VALUE", help="OpenVINO property for compilation; repeatable."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Save the outputs, and images with boxes or masks drawn.",
)
@json_option("Print an array with one object per inference.")
@converting_options
@click.pass_obj
def infer_command(
    session: Session,
    /,
    reference: str,
    inputs: tuple[Path, ...],
    *,
    device: str,
    config: tuple[str, ...],
    top: int,
    save: Path | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Compile a model and run it on images, .npy or .npz arrays, .wav audio or raw files, or on zeros."""
    from model_zoo import runtime
    from model_zoo.runtime.inference.run import infer

    zoo = session.zoo
    converted = zoo.convert(reference, progress=session.report, **how)
    compiled = zoo.compile(converted, device=device, config=properties(config))
    info = runtime.model_info(runtime.read_model(converted.xml))
    session.close_progress()
    results = infer(compiled, inputs, info, top=top, save=save)
    shown = _with_bar(session, results, len(inputs))
    if session.as_json:
        print_json(list(shown))
        return
    for result in shown:
        _print_result(result)


def properties(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ``KEY=VALUE`` pairs.

    Raises:
        UsageError: one has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            what = f"invalid --config {pair!r}: not KEY=VALUE"
            raise UsageError(what, hint="for example --config PERFORMANCE_HINT=LATENCY")
    return dict(pair.split("=", 1) for pair in pairs)


def _with_bar(session: Session, results: Iterable[Result], total: int) -> Iterator[Result]:
    """Show a bar over several inputs, on a terminal."""
    mode = session.progress
    wanted = not session.quiet and (mode == "bar" or (mode == "auto" and sys.stderr.isatty()))
    if total < 2 or not wanted:  # noqa: PLR2004 - one inference needs no bar
        yield from results
        return
    from tqdm.auto import tqdm

    yield from tqdm(results, total=total, unit="input", file=sys.stderr, leave=False)


def _print_result(result: Result) -> None:
    click.echo(f"{result['input']}: {result['seconds'] * 1000:.1f} ms")
    if "top" in result:
        print_table([[f"  {_label(label)}", f"{label['score']:.4f}"] for label in result["top"]])
    elif "boxes" in result:
        boxes = result["boxes"]
        rows = [[f"  {_label(b)}", f"{b['score']:.4f}", " ".join(str(c) for c in b["box"])] for b in boxes]
        print_table(rows or [["  nothing detected"]])
    else:
        print_table([_tensor_row(output) for output in result["outputs"]])
    for path in result.get("saved", ()):
        click.echo(f"  saved {path}")


def _label(row: TopClass | Box) -> str:
    return str(row.get("label") or row["index"])


def _tensor_row(output: TensorSummary) -> list[str]:
    figures = [
        f"{name} {output[name]:.6g}" for name in ("min", "mean", "max") if output.get(name) is not None
    ]
    shape = "[" + ", ".join(str(size) for size in output["shape"][:_SHOWN_SHAPE]) + "]"
    return [f"  {output['name']}", str(output["type"]), shape, *figures]


@click.command("bench")
@reference_argument
@device_option
@with_default(
    "-t", "--seconds", metavar="SECONDS", type=click.FloatRange(1), default=10, help="How long to measure."
)
@click.option("--hint", type=click.Choice(["latency", "throughput"]), help="What to optimize for.")
@json_option("Print one object.")
@converting_options
@click.pass_obj
def bench_command(
    session: Session,
    /,
    reference: str,
    *,
    device: str,
    seconds: float,
    hint: str | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Measure the latency and throughput of a model with OpenVINO's benchmark_app."""
    from model_zoo.runtime.measure import bench

    converted = session.zoo.convert(reference, progress=session.report, **how)
    session.close_progress()
    figures = bench(converted.xml, device=device, seconds=seconds, hint=hint)
    result = {"model": converted.model.name, "precision": converted.precision, **figures}
    spread = f"{figures['latency_min_ms']:.2f} min, {figures['latency_max_ms']:.2f} max"
    runs = f"{figures['iterations']} in {figures['seconds']:.1f} s, {figures['requests']} in parallel"
    fields = [
        ("model", f"{converted.model.name}@{converted.precision}"),
        ("device", str(figures["device"])),
        ("latency", f"{figures['latency_ms']:.2f} ms median, {spread}"),
        ("throughput", f"{figures['throughput_fps']:.1f} per second"),
        ("iterations", runs),
    ]
    session.print_result(lambda: print_fields(fields), result)
