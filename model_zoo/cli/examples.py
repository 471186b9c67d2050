"""Examples by command: shown at the end of its help, copied into the reference, and run by the tests."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "model-zoo list face",
        "model-zoo convert magika-standard-v3@FP16",
        "model-zoo --offline infer magika-standard-v3 --top 5",
    ),
    "list": (
        "model-zoo list face 'pp-ocr*'",
        "model-zoo list --task object-detection/text --long",
        "model-zoo list --source wheel --json",
    ),
    "info": ("model-zoo info magika-standard-v3", "model-zoo info magika-standard-v3 --json"),
    "fetch": (
        "model-zoo fetch magika-standard-v3 pp-ocr-cls-v2",
        "model-zoo fetch magika-standard-v3 -o models",
        "model-zoo fetch magika-standard-v3 --json",
    ),
    "convert": (
        "model-zoo convert magika-standard-v3@FP16",
        "model-zoo convert --precision FP32,FP16 -o models magika-standard-v3",
    ),
    "path": ("model-zoo path magika-standard-v3@FP16",),
    "why": ("model-zoo why magika-standard-v3@FP16",),
    "infer": (
        "model-zoo infer magika-standard-v3",
        "model-zoo infer magika-standard-v3 --device CPU --top 5 --json",
    ),
    "bench": ("model-zoo bench magika-standard-v3 --device CPU -t 1",),
    "cache info": ("model-zoo cache info", "model-zoo cache info --json"),
    "cache ls": ("model-zoo cache ls",),
    "cache verify": ("model-zoo cache verify",),
    "cache gc": ("model-zoo cache gc --dry-run",),
    "cache pin": ("model-zoo cache pin magika-standard-v3",),
    "cache unpin": ("model-zoo cache unpin magika-standard-v3",),
    "cache rm": ("model-zoo cache rm pp-ocr-cls-v2 --dry-run",),
    "cache repair": ("model-zoo cache repair --dry-run",),
    "catalog validate": ("model-zoo catalog validate",),
    "catalog refresh": ("model-zoo catalog refresh --dry-run my-catalog",),
    "catalog schema": ("model-zoo catalog schema > schema.json",),
    "catalog html": ("model-zoo catalog html -o site",),
    "lock": ("model-zoo lock magika-standard-v3 -o model-zoo.lock",),
    "seed": ("model-zoo seed layer magika-standard-v3@FP16",),
    "export": ("model-zoo export --format tar -o magika.tar magika-standard-v3@FP16",),
    "import": ("model-zoo import magika.tar",),
    "push": ("model-zoo push registry.example.org/magika:1.0 magika-standard-v3@FP16",),
    "pull": ("model-zoo pull registry.example.org/magika:1.0",),
    "catalog add": (
        "model-zoo catalog add wheel:magika==1.0.3/magika/models/standard_v3_3/model.onnx -o magika.yaml",
    ),
    "catalog import-omz": ("model-zoo catalog import-omz open_model_zoo -o omz-catalog",),
    "doctor": ("model-zoo doctor", "model-zoo doctor --json"),
    "completion": (
        'eval "$(model-zoo completion bash)"    # in ~/.bashrc',
        'eval "$(model-zoo completion zsh)"     # in ~/.zshrc',
        "model-zoo completion fish | source      # in ~/.config/fish/config.fish",
        "model-zoo completion powershell | Out-String | Invoke-Expression",
    ),
}
