"""Search: which models the words of a person mean.

A word matches from the start of a word: "age" finds "age-gender", not "image". Searched are a model's name,
task in all its spellings, framework, licence, and the kinds of its sources.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from model_zoo.schema import task_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_zoo.schema import Model

_TOKEN = re.compile(r"\(|\)|[^\s()]+")


def find(models: Iterable[Model], patterns: Sequence[str]) -> list[Model]:
    """Return the models that any pattern means, in order; all of them if there is none.

    A pattern is a shell wildcard on the name, or words, every one of which must match.
    """
    if not patterns:
        return list(models)
    return [model for model in models if any(_matches(model, pattern) for pattern in patterns)]


def _matches(model: Model, pattern: str) -> bool:
    folded = pattern.casefold()
    if any(character in pattern for character in "*?["):
        return fnmatch.fnmatchcase(model.name.casefold(), folded)
    text = words_of(model)
    return all(_starts_word(word, text) for word in folded.split())


def _starts_word(word: str, text: str) -> bool:
    """Whether a word begins anywhere; letters after a digit, and digits after a letter, begin one too."""
    before = r"(?<![^\W_])" if word[:1].isalnum() else ""
    if re.search(before + re.escape(word), text):
        return True
    other = r"(?<=[a-z])" if word[:1].isdigit() else r"(?<=\d)"
    return re.search(other + re.escape(word), text) is not None


def words_of(model: Model) -> str:
    """Return the text that words are searched in, folded."""
    kinds = {source.kind for artifact in model.artifacts for source in artifact.sources}
    parts = [model.name, *task_words(model.task), model.framework or "composite", str(model.license), *kinds]
    return " ".join(parts).casefold()


def family_of(model: Model) -> str:
    """Return what the variants of one model share: its name without weight format, opset and weights."""
    if model.recipe.builder is not None and model.recipe.builder.torchvision and not model.omz:
        return f"torchvision-{model.recipe.builder.torchvision.replace('_', '-')}"
    name = re.sub(r"-(?:int4|int8|fp16|nf4)(?:-cw)?-ov$", "", model.name)
    name = re.sub(r"-(?:int8|qdq)$", "", name)
    opset = re.search(r"ONNX opset (\d+)\.", model.description)
    return re.sub(rf"[-_]{opset[1]}$", "", name) if opset else name


def license_satisfies(expression: str | None, allowed: Iterable[str]) -> bool:
    """Whether the licences of a list allow what an SPDX expression states; an unknown licence never does.

    Of ``A OR B`` one must be in the list, of ``A AND B`` both. Case does not count, wildcards do.
    """
    if expression is None:
        return False
    return _Terms(expression, [one.strip().casefold() for one in allowed]).read_any()


class _Terms:
    """One expression, read from left to right; AND binds before OR."""

    def __init__(self, expression: str, allowed: list[str]) -> None:
        self._tokens = _TOKEN.findall(expression)
        self._allowed = allowed

    def read_any(self) -> bool:
        met = self._read_all()
        while self._take("OR"):
            met = self._read_all() or met
        return met

    def _read_all(self) -> bool:
        met = self._read_one()
        while self._take("AND"):
            met = self._read_one() and met
        return met

    def _read_one(self) -> bool:
        if self._take("("):
            met = self.read_any()
            self._take(")")
            return met
        name = self._tokens.pop(0).casefold() if self._tokens else ""
        if self._take("WITH"):
            name += f" with {self._tokens.pop(0).casefold()}"
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._allowed)

    def _take(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False
