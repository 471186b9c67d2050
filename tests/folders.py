"""Tiny folder models of real IRs, made with OpenVINO alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov

if TYPE_CHECKING:
    from pathlib import Path


def write_ir(path: Path, name: str, output: str, size: int = 4) -> None:
    """Write an IR ``output = name * size`` of an i64 input [?,?], with its weights beside it."""
    ops = ov.opset13
    given = ops.parameter(ov.PartialShape([-1, -1]), np.int64, name=name)
    given.output(0).set_names({name})
    table = ops.constant(np.arange(64 * size, dtype=np.float32).reshape(64, size))
    result = ops.gather(table, given, ops.constant(np.int64(0)), name=output)
    result.output(0).set_names({output})
    path.parent.mkdir(parents=True, exist_ok=True)
    ov.save_model(ov.Model([result], [given], "net"), path, compress_to_fp16=False)


def language_model(folder: Path, kind: str = "LlamaForCausalLM", output: str = "logits") -> dict[str, bytes]:
    """Write what optimum-intel leaves of a language model; return the files' bytes by their paths."""
    write_ir(folder / "openvino_model.xml", "input_ids", output)
    for name in ("openvino_tokenizer.xml", "openvino_detokenizer.xml"):
        write_ir(folder / name, "text", "ids", 2)
    (folder / "config.json").write_text(json.dumps({"architectures": [kind], "model_type": "llama"}))
    (folder / "generation_config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text("{}")
    return contents(folder)


def picture_model(folder: Path) -> dict[str, bytes]:
    """Write the folders of a pipeline that draws pictures; return the files' bytes by their paths."""
    (folder / "scheduler").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    for part in ("text_encoder", "unet", "vae_decoder"):
        write_ir(folder / part / "openvino_model.xml", "sample", "out")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder by its path."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }
