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
    precision_option,
    reference_argument,
    shape_option,
    with_default,
)
from model_zoo.cli.output import print_fields, print_json, print_table
from model_zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from model_zoo.cli.session import Session
    from model_zoo.runtime.inference.prediction import Prediction, TensorSummary

_SHOWN_SHAPE = 6
_FILES = {".png", ".jpg", ".jpeg", ".webp", ".json", ".npz"}


@click.command("infer")
@reference_argument
@click.argument("inputs", nargs=-1, metavar="[INPUT…]", type=click.Path(path_type=Path))
@device_option
@precision_option
@with_default("--top", type=click.IntRange(1), default=5, metavar="K", help="Number of classes to show.")
@click.option(
    "--threshold", type=float, metavar="S", help="Score from which something counts (default: the model's)."
)
@shape_option
@click.option(
    "--config", multiple=True, metavar="KEY=VALUE", help="OpenVINO property for compilation; repeatable."
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Save what was found: a folder for pictures and outputs; or a .png, .json or .npz file.",
)
@json_option("Print an array with one object per input.")
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
    shapes: tuple[str, ...],
    top: int,
    threshold: float | None,
    save: Path | None,
    **how: Any,  # noqa: ANN401 - the fields of ConvertOptions
) -> None:
    """Say what a model finds in pictures, .wav sound, .npy or .npz arrays, raw files, or zeros."""
    from model_zoo.zoo import answers

    found = answers.stream(
        session.zoo,
        reference,
        list(inputs) or [None],
        device=device,
        config=properties(config),
        shapes=read_shapes(shapes),
        top=top,
        threshold=threshold,
        progress=session.report,
        **how,
    )
    session.close_progress()
    results = []
    for prediction in _with_bar(session, found, len(inputs)):
        saved = _save(prediction, save, len(inputs)) if save is not None else []
        if session.as_json:
            more = {"saved": [str(path) for path in saved]} if save is not None else {}
            results.append(prediction.to_dict() | more)
        else:
            _print(prediction, saved)
    if session.as_json:
        print_json(results)


def read_shapes(texts: Sequence[str]) -> dict[str, list[int]]:
    """Read ``NAME=1,3,224,224`` texts; a name may contain ``=``, sizes do not.

    Raises:
        UsageError: one is not of that form.
    """
    shapes = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        parts = sizes.strip("[]").split(",") if sizes else []
        if not name or not all(part.strip().isdecimal() for part in parts):
            what = f"invalid --shape {text!r}: not NAME=SIZE,SIZE,…"
            raise UsageError(what, hint="for example --shape input=1,3,224,224")
        shapes[name] = [int(part) for part in parts]
    return shapes


def _save(prediction: Prediction, target: Path, count: int) -> list[Path]:
    """Write a prediction to a file, or into a folder: the outputs, and the picture if something is on it."""
    if target.suffix.lower() in _FILES and count < 2 and not target.is_dir():  # noqa: PLR2004 - several need a folder
        return [prediction.save(target)]
    written = [prediction.save(target / f"{prediction.source}.npz")]
    if prediction.picture is not None and (prediction.boxes or prediction.masks or prediction.keypoints):
        written.append(prediction.save(target / f"{prediction.source}.found.png"))
    return written


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


def _with_bar(session: Session, results: Iterable[Prediction], total: int) -> Iterator[Prediction]:
    """Show a bar over several inputs, on a terminal."""
    mode = session.progress
    wanted = not session.quiet and (mode == "bar" or (mode == "auto" and sys.stderr.isatty()))
    if total < 2 or not wanted:  # noqa: PLR2004 - one inference needs no bar
        yield from results
        return
    from tqdm.auto import tqdm

    yield from tqdm(results, total=total, unit="input", file=sys.stderr, leave=False)


def _print(prediction: Prediction, saved: Sequence[Path]) -> None:
    click.echo(f"{prediction.source}: {prediction.seconds * 1000:.1f} ms")
    if prediction.text is not None:
        for line in prediction.text.splitlines() or ["no text found"]:
            click.echo(f"  {line}")
    else:
        print_table(_rows(prediction) or [[f"  no {prediction.found} found"]])
    if prediction.note:
        click.echo(f"  {prediction.note}")
    for path in saved:
        click.echo(f"  saved {path}")


def _rows(prediction: Prediction) -> list[list[str]]:
    """Return what was found, a line for each; the outputs if nothing was looked for."""
    rows = [[f"  {one.name}", f"{one.score:.4f}"] for one in prediction.labels]
    for box in prediction.boxes:
        corners = " ".join(f"{side:.1f}" for side in (box.x0, box.y0, box.x1, box.y1))
        rows.append([f"  {box.label if box.text is None else box.text}", f"{box.score:.4f}", corners])
    if not prediction.boxes:
        rows += [[f"  {mask.label}", f"{mask.pixels.mean():.1%} of the picture"] for mask in prediction.masks]
        rows += [[f"  {p.name or 'point'}", f"{p.x:.1f} {p.y:.1f}"] for p in prediction.keypoints]
    rows += [[f"  {s.start:.2f} to {s.end:.2f} s", s.label, f"{s.score:.4f}"] for s in prediction.segments]
    if prediction.embedding is not None:
        first = " ".join(f"{value:.4f}" for value in prediction.embedding[:_SHOWN_SHAPE])
        rows.append([f"  a vector of {prediction.embedding.size} numbers", f"{first} …"])
    if rows or prediction.found is not None:
        return rows
    from model_zoo.runtime.inference.prediction import summarize

    return [_tensor_row(summarize(name, value)) for name, value in prediction.outputs.items()]


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
@precision_option
@shape_option
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
    shapes: tuple[str, ...],
    hint: str | None,
    **how: Any,  # noqa: ANN401 - the fields of Conversion
) -> None:
    """Measure the latency and throughput of a model with OpenVINO's benchmark_app."""
    from model_zoo.runtime import check_device
    from model_zoo.runtime.measure import bench

    given = read_shapes(shapes)
    check_device(device)
    converted = session.zoo.convert(reference, progress=session.report, **how)
    session.close_progress()
    figures = bench(converted.xml, device=device, seconds=seconds, hint=hint, shapes=given)
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
