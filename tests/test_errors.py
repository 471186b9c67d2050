"""Errors: four questions, one exit code per class, and they survive a process boundary."""

from __future__ import annotations

import pickle

import pytest

from model_zoo import errors

CODES = {
    "ModelZooError": 1,
    "UsageError": 2,
    "UnknownModelError": 2,
    "UnknownPrecisionError": 2,
    "CatalogError": 3,
    "DownloadError": 4,
    "SourceUnavailableError": 4,
    "TransferInterruptedError": 4,
    "OfflineError": 4,
    "IntegrityError": 5,
    "DigestMismatchError": 5,
    "SizeMismatchError": 5,
    "CacheError": 6,
    "CacheMissError": 6,
    "CacheReadOnlyError": 6,
    "CacheFullError": 6,
    "LockTimeoutError": 6,
    "CacheDamagedError": 6,
    "ConversionError": 7,
    "MissingExtraError": 7,
    "UntrustedCodeError": 7,
    "UnsupportedModelError": 7,
    "WorkerCrashedError": 7,
    "LoadError": 8,
    "DeviceUnavailableError": 8,
    "CompileError": 8,
    "InputError": 8,
    "PolicyError": 2,
    "SourceMissingError": 4,
}


def test_every_class_is_listed():
    found = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ModelZooError)
    }
    assert {name: kind.exit_code for name, kind in found.items()} == CODES


@pytest.mark.parametrize("name", CODES)
def test_message_and_pickle(name):
    kind = getattr(errors, name)
    error = kind("m.onnx is wrong", expected=1, found=2, left="nothing", hint="fetch it again")
    assert str(error).splitlines() == [
        "m.onnx is wrong",
        "  expected: 1",
        "  found:    2",
        "  on disk:  nothing",
        "  next:     fetch it again",
    ]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert copy.hint == "fetch it again"


def test_only_what_is_known_is_said():
    assert str(errors.CacheError("gone")) == "gone"
    assert errors.CacheError("gone").hint is None
