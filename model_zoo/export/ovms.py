"""OpenVINO Model Server: IRs as versioned models, generative models as graphs, and the configuration.

A generative model is served by a graph of one node, ``graph.pbtxt`` beside its files: a text protocol buffer
whose node is one of the server's calculators. Names and options of the calculators are those of the server's
documentation (``ovms_docs_llm_reference``, ``…_embeddings_…``, ``…_rerank_…``, ``…_image_generation_…``,
``…_speech_…``).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from model_zoo.errors import CacheDamagedError, CacheError, UsageError
from model_zoo.export.views import WRITABLE, check_own, copy_out
from model_zoo.files import ELSEWHERE, as_cache_error, read_json, set_mode, sweep_staged, write_file
from model_zoo.formats.hf_config import POOLING_TYPES
from model_zoo.registry.image import export_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_zoo.schema import ConvertedModel

GRAPH = "graph.pbtxt"
_ONE_IR = "openvino_model.xml"
_LISTS = {"model_config_list", "mediapipe_config_list"}


@dataclass(frozen=True)
class Node:
    """The only node of a generative model's graph.

    Attributes:
        calculator: the server's name for what runs.
        packet: the tag and the name under which it receives the loaded model.
        streams: the prefix of the tags of its input and output.
        device: the name of its option for the device.
        options: more of its options, as lines.
        loops: whether it is called again for each part of an answer.
    """

    calculator: str
    packet: str
    streams: str = "HTTP_"
    device: str = "device"
    options: tuple[str, ...] = ()
    loops: bool = False


# cache_size 0 lets the key-value cache grow on demand.
_LLM = Node(
    "HttpLLMCalculator",
    "LLM_NODE_RESOURCES:llm",
    options=("plugin_config: '{}'", "cache_size: 0", "max_num_seqs: 256"),
    loops=True,
)
NODES = {
    "openvino_genai.LLMPipeline": _LLM,
    "openvino_genai.VLMPipeline": _LLM,
    "openvino_genai.TextEmbeddingPipeline": Node(
        "EmbeddingsCalculatorOV", "EMBEDDINGS_NODE_RESOURCES:embeddings_servable", "", "target_device"
    ),
    "openvino_genai.TextRerankPipeline": Node(
        "RerankCalculatorOV", "RERANK_NODE_RESOURCES:rerank_servable", "", "target_device"
    ),
    "openvino_genai.Text2ImagePipeline": Node("ImageGenCalculator", "IMAGE_GEN_NODE_RESOURCES:pipes"),
    "openvino_genai.WhisperPipeline": Node(
        "S2tCalculator", "STT_NODE_RESOURCES:s2t_servable", device="target_device"
    ),
    "openvino_genai.Text2SpeechPipeline": Node(
        "T2sCalculator", "TTS_NODE_RESOURCES:t2s_servable", device="target_device"
    ),
}  # fmt: skip
"""By the class that opens a folder model."""


def export_ovms(
    irs: Sequence[ConvertedModel],
    out: Path,
    *,
    version: int = 1,
    base_path: str | None = None,
    device: str = "CPU",
) -> Path:
    """Copy models as a repository of OpenVINO Model Server, with the ``config.json`` that serves them.

    An IR is ``OUT/NAME/VERSION/model.xml`` and listed under ``model_config_list``; a generative model is
    ``OUT/NAME/`` with its graph, listed under ``mediapipe_config_list``, and has no versions. Entries for
    other models stay. Paths are relative to the configuration, as the server supports since 2023.1, unless
    ``base_path``, the repository's path on the server, is given. Graphs run on ``device``.

    Raises:
        UsageError: the server has no graph for a folder model.
        CacheError: the directory cannot be written, or its ``config.json`` is not the server's.
    """
    names = export_names(irs)
    config = _read_config(out / "config.json")
    files: dict[str, Path] = {}
    graphs: dict[str, str] = {}
    for ir, name in zip(irs, names, strict=True):
        node = NODES.get(str(ir.manifest.opens)) if ir.is_folder else None
        if node is not None:
            graphs[name] = graph_text(node, device, ir.manifest.options)
            files |= {f"{name}/{path}": file for path, file in ir.files.items() if path != GRAPH}
        else:
            xml, weights = _one_ir(ir)
            files |= {f"{name}/{version}/model.xml": xml, f"{name}/{version}/model.bin": weights}
    target = copy_out(files, out)
    with as_cache_error(target, left="the models without their configuration", hint=ELSEWHERE):
        for name, text in graphs.items():
            check_own(target, target / name)
            _write(target / name / GRAPH, text)
        _list(config, names, set(graphs), base_path)
        _write(target / "config.json", json.dumps(config, indent=2) + "\n")
    return target


def _one_ir(ir: ConvertedModel) -> tuple[Path, Path]:
    """Return network and weights of a model that is served without a graph."""
    if not ir.is_folder:
        return ir.xml, ir.bin
    if list(ir.manifest.irs or ()) == [_ONE_IR]:
        xml = ir.directory / _ONE_IR
        return xml, xml.with_suffix(".bin")
    opens = ir.manifest.opens
    raise UsageError(
        f"{ir.model.name}: OpenVINO Model Server has no graph for models that {opens} opens",
        expected=f"a model for {', '.join(sorted(NODES))}, or a single IR",
        found=", ".join(ir.manifest.irs or ()),
        hint="use --format dir, and write your own graph",
    )


def graph_text(node: Node, device: str, options: Mapping[str, object] | None = None) -> str:
    """Return ``graph.pbtxt`` for a model in the same directory.

    ``options`` are those in its manifest, which may come from others: only what ``TextEmbeddingPipeline``
    takes gets into the text.
    """
    source, result = f"{node.streams}REQUEST_PAYLOAD:input", f"{node.streams}RESPONSE_PAYLOAD:output"
    settings = ['models_path: "./"', f'{node.device}: "{device}"', *node.options]
    if options is not None:
        pooling, normalize = options.get("pooling_type"), options.get("normalize")
        if pooling not in POOLING_TYPES or not isinstance(normalize, bool):
            what = "the options in the manifest of this model are not those of an embedding model"
            found = ascii(dict(options))[:200]
            expected = f"pooling_type {', '.join(POOLING_TYPES)}; normalize true or false"
            hint = "convert it again: 'model-zoo cache rm', then 'model-zoo convert'"
            raise CacheDamagedError(what, expected=expected, found=found, hint=hint)
        settings.append(f"pooling: {str(pooling).removesuffix('_TOKEN')}")
        settings.append(f"normalize_embeddings: {str(normalize).lower()}")
    lines = [f'input_stream: "{source}"', f'output_stream: "{result}"', "node {"]
    inside = [f'calculator: "{node.calculator}"', f'input_side_packet: "{node.packet}"']
    if node.loops:
        inside += ['input_stream: "LOOPBACK:loopback"', 'output_stream: "LOOPBACK:loopback"']
    inside += [f'input_stream: "{source}"', f'output_stream: "{result}"']
    if node.loops:
        inside += ['input_stream_info { tag_index: "LOOPBACK:0" back_edge: true }']
    kind = f"[type.googleapis.com/mediapipe.{node.calculator.removeprefix('Http')}Options]"
    inside += ["node_options {", f"  {kind} {{", *(f"    {line}" for line in settings), "  }", "}"]
    if node.loops:
        inside += [
            "input_stream_handler {",
            '  input_stream_handler: "SyncSetInputStreamHandler"',
            "  options {",
            '    [mediapipe.SyncSetInputStreamHandlerOptions.ext] { sync_set { tag_index: "LOOPBACK:0" } }',
            "  }",
            "}",
        ]
    return "\n".join([*lines, *(f"  {line}" for line in inside), "}"]) + "\n"


def _list(config: dict[str, Any], names: Sequence[str], graphs: set[str], base_path: str | None) -> None:
    """Enter models into a configuration; other settings of an existing entry stay."""
    models = {entry["config"]["name"]: entry["config"] for entry in config["model_config_list"]}
    served = {entry["name"]: entry for entry in config.get("mediapipe_config_list", ())}
    for name in names:
        path = f"{base_path.rstrip('/')}/{name}" if base_path else name
        here, other = (served, models) if name in graphs else (models, served)
        here[name] = {**here.get(name, {}), "name": name, "base_path": path}
        other.pop(name, None)
    config["model_config_list"] = [{"config": models[name]} for name in sorted(models)]
    if served or "mediapipe_config_list" in config:
        config["mediapipe_config_list"] = [served[name] for name in sorted(served)]


def _read_config(path: Path) -> dict[str, Any]:
    """Return the existing configuration, or an empty one."""
    if not os.path.lexists(path):
        return {"model_config_list": []}
    try:
        config = read_json(path, dict[str, Any]) or {}
        names = [entry["config"]["name"] for entry in config.get("model_config_list", ())]
        names += [entry["name"] for entry in config.get("mediapipe_config_list", ())]
        valid = all(isinstance(name, str) for name in names) and not _LISTS.isdisjoint(config)
    except (KeyError, TypeError, AttributeError):
        valid = False
    if not valid:
        what = f"{path} is not a configuration of OpenVINO Model Server"
        raise CacheError(what, left="nothing was written", hint="move it away, or choose another folder")
    return {"model_config_list": [], **config}


def _write(path: Path, text: str) -> None:
    sweep_staged(path)
    write_file(path, text.encode())
    set_mode(path, WRITABLE)
