"""Models: the entries of a catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import force_setattr

from model_zoo.formats.frameworks import EXPORTED, FRAMEWORKS
from model_zoo.schema.artifact import Artifact, Replacement
from model_zoo.schema.base import (
    NAME,
    Struct,
    check_model_path,
    check_precision,
    check_relative_path,
    check_unique_paths,
    html_table,
)
from model_zoo.schema.chain import Chain
from model_zoo.schema.knowledge import (
    Complexity,
    Decode,
    License,
    Metric,
    ModelInput,
    ModelOutput,
    Upstream,
    check_port_names,
    image_info,
)
from model_zoo.schema.recipe import Recipe
from model_zoo.schema.sentences import inputs_in_words, license_in_words, outputs_in_words
from model_zoo.schema.tasks import TASKS, canonical_task

if TYPE_CHECKING:
    Framework = str
    Terms = License
else:  # the table has the names; type checkers cannot follow it
    Framework = Literal[tuple(FRAMEWORKS)]
    Terms = str | License  # of which __post_init__() makes the latter


class Labels(Struct, frozen=True, kw_only=True):
    """Where class labels are: in an artifact of the model, or in a file next to the catalog entry.

    ``key`` selects a list inside a JSON file (dots descend); without it the file has one label per line.
    """

    artifact: str | None = None
    file: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        """Check that there is exactly one location, and that an artifact is below the model's directory."""
        if (self.artifact is None) == (self.file is None):
            raise ValueError("give either {artifact: …} or {file: …}")
        check_model_path(self.artifact, "artifact")


class OmzInput(Struct, frozen=True, kw_only=True):
    """One input as Open Model Zoo described it; ``shape`` and ``layout`` may be absent there."""

    name: str
    shape: tuple[int, ...] = ()
    layout: str = ""


class Omz(Struct, frozen=True, kw_only=True):
    """What only the Open Model Zoo commands need to know about a model.

    ``task`` is the task in its own words, ``subdirectory`` where its files go below the output directory,
    such as ``intel/NAME``, ``composite`` the composite model it is a stage of, and ``inputs`` what
    ``omz_info_dumper`` prints if that differs from the recipe's inputs.
    """

    subdirectory: str
    task: str | None = None
    composite: str | None = None
    inputs: tuple[OmzInput, ...] = ()

    def __post_init__(self) -> None:
        """Check the directory."""
        check_relative_path(self.subdirectory)


class Model(Struct, frozen=True, kw_only=True):
    """One catalog entry.

    ``inputs`` and ``outputs`` are those of the IR, as a caller sees them; ``recipe.inputs`` are the
    network's, as the conversion changes them. ``decode`` says how outputs become answers. ``notice`` is a
    line to be shown before files under terms that bind others are fetched, pushed, seeded or exported.
    """

    schema: Literal[1]
    name: str
    task: str
    framework: Framework | None = None
    license: Terms
    description: str
    notice: str | None = None
    upstream: Upstream | None = None
    metrics: tuple[Metric, ...] = ()
    complexity: Complexity | None = None
    inputs: tuple[ModelInput, ...] = ()
    outputs: tuple[ModelOutput, ...] = ()
    decode: Decode | None = None
    artifacts: tuple[Artifact, ...] = ()
    replace: tuple[Replacement, ...] = ()
    recipe: Recipe = Recipe()
    labels: tuple[str, ...] | Labels | None = None
    model_info: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies it for each
    stages: tuple[str, ...] = ()
    chain: Chain | None = None
    convertible: bool = True
    reason: str | None = None
    omz: Omz | None = None

    def __post_init__(self) -> None:
        """Read plain licences and old spellings of tasks; check what involves several fields."""
        if isinstance(self.license, str):
            force_setattr(self, "license", License.parse(self.license))
        if self.task not in TASKS:
            force_setattr(self, "task", canonical_task(self.task))
        self._check()

    def _check(self) -> None:
        if not NAME.fullmatch(self.name) or self.name in {".", ".."}:
            raise ValueError(f"name {self.name!r} may contain only letters, digits, '.', '_' and '-'")
        if bool(self.artifacts) == bool(self.stages):
            msg = f"give either artifacts or stages; this entry has {'both' if self.stages else 'neither'}"
            raise ValueError(msg)
        if self.artifacts and self.framework is None:
            raise ValueError("a model with artifacts needs a framework")
        if self.chain is not None and len(self.stages) != 2:  # noqa: PLR2004 - the finder and the asker
            raise ValueError(f"chain needs two stages, not {len(self.stages)}")
        if not self.convertible and not self.reason:
            raise ValueError("convertible: false needs a reason")
        if self.recipe.export is not None and self.framework not in EXPORTED:
            raise ValueError(f"recipe.export is for the frameworks {', '.join(EXPORTED)}")
        if self.framework != "openvino" and not any(a.precision for a in self.artifacts):
            for index, precision in enumerate(self.recipe.precisions):
                check_precision(precision, f"recipe.precisions[{index}]", ready=False)
        check_unique_paths([a.path for a in self.artifacts if a.path != "."])
        check_port_names(self.inputs, "inputs")
        check_port_names(self.outputs, "outputs", required=False)

    @property
    def is_folder(self) -> bool:
        """Whether it becomes a directory of IRs, tokenizers and configurations instead of one IR.

        That is so for everything that optimum-intel exports, and for a ready-made directory: ``recipe.model``
        is ".", or there are several IRs, none marked with a precision, and nothing says which one is meant.
        """
        if self.framework != "openvino":
            return self.framework in EXPORTED
        if self.recipe.model is not None:
            return self.recipe.model == "."
        return sum(a.path.endswith(".xml") and a.precision is None for a in self.artifacts) > 1

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions on offer, default first: those of ready-made files, else the recipe's."""
        ready = tuple(dict.fromkeys(a.precision for a in self.artifacts if a.precision))
        return ready or self.recipe.precisions

    @property
    def feeds(self) -> tuple[ModelInput, ...]:
        """What a caller feeds: the declared inputs, else what the recipe tells of them."""
        return self.inputs or tuple(
            ModelInput(
                name=port.name,
                shape=port.shape,
                type=port.type,
                layout=port.layout,
                kind="image" if {"H", "W", "C"} <= set(port.layout or "") else "tensor",
            )
            for port in self.recipe.inputs
        )

    @property
    def feeds_in_words(self) -> list[str]:
        """What a caller feeds, one sentence for each input."""
        return inputs_in_words(self.feeds, self.recipe)

    @property
    def gives_in_words(self) -> list[str]:
        """What comes out, one sentence for each output."""
        return outputs_in_words(self.outputs, self.labels if isinstance(self.labels, tuple) else ())

    @property
    def ir_info(self) -> dict[str, object]:
        """What the IR says under ``model_info``, apart from what the recipe and labels add.

        It is ``model_info``, and below that what follows from ``decode`` and the picture that is fed, in the
        words of openvino-model-api.
        """
        if self.decode is None or not self.decode.by_model_api:
            return self.model_info
        info = {"model_type": self.decode.type, **self.decode.parameters}
        image = next((port for port in self.inputs if port.kind == "image"), None)
        if image is not None:
            declared = self.recipe.preprocess == "declare" and bool(self.recipe.inputs)
            info |= image_info(image, declared=declared)
        return info | self.model_info

    def __repr__(self) -> str:
        """Return the entry in a few words."""
        return f"<Model {self.name}: {self.task}, {self.framework or 'composite'}>"

    def _repr_html_(self) -> str:
        """Return the entry as a small table, for notebooks."""
        from html import escape  # not at every start

        sizes = ("" if a.size is None else f" ({a.size} bytes)" for a in self.artifacts)
        files = ", ".join(a.path + size for a, size in zip(self.artifacts, sizes, strict=True))
        rows = [
            ("task", self.task),
            ("framework", self.framework),
            ("licence", license_in_words(self.license)),
            ("precisions", ", ".join(self.precisions) if self.artifacts else None),
            ("becomes", "a folder of IRs" if self.is_folder and self.artifacts else None),
            ("feeds", "; ".join(self.feeds_in_words)),
            ("gives", "; ".join(self.gives_in_words)),
            ("files", files),
            ("stages", ", ".join(self.stages)),
            ("not convertible", self.reason),
        ]
        return html_table(f"<b>{escape(self.name)}</b><br>{escape(self.description.strip())}", rows)

    def files_of(self, precision: str | None) -> tuple[Artifact, ...]:
        """The artifacts that one precision needs; all of them if ``precision`` is None."""
        return tuple(a for a in self.artifacts if precision is None or a.precision in {None, precision})
