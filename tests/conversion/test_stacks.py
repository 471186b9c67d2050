"""Stacks: which conversion needs which, that every line pins, and what an environment is stored under."""

from __future__ import annotations

import re

import pytest

from model_zoo.conversion import stacks
from model_zoo.conversion.key import packages, toolchain_in
from model_zoo.conversion.stacks import load_stack, require_packages, stack_names, stack_of
from model_zoo.errors import MissingExtraError
from tests.conversion.support import entry

NAMES = stack_names()
TORCHVISION = {"builder": {"torchvision": "resnet18"}}


def test_stacks_of_the_package() -> None:
    assert {"torch", "tensorflow", "jax", "nncf", "transformers"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_line_pins_one_version(name: str) -> None:
    stack = load_stack(name)
    assert stack.size > 100_000_000, "an environment of it was never measured"
    assert len(stack.pins) == len(stack.requirements)
    assert stack.pins["openvino"] == load_stack("nncf").pins["openvino"], "one OpenVINO for all stacks"
    assert stack.pins["nncf"] == load_stack("nncf").pins["nncf"]
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in stack.pins.values())


@pytest.mark.parametrize(
    ("framework", "fields", "precision", "wanted"),
    [
        ("onnx", {}, "FP32", None),
        ("onnx", {}, "INT8", "nncf"),
        ("onnx", {}, "FP16-INT8", "nncf"),
        ("tflite", {}, "FP16", None),
        ("paddle", {}, "FP16", None),
        ("openvino", {}, "FP16", None),
        ("pytorch", {}, "FP32", "torch"),
        ("pytorch", {"recipe": TORCHVISION}, "INT4", "torch"),
        ("keras", {}, "FP32", "tensorflow"),
        ("tensorflow", {}, "FP32", None),
        ("tensorflow", {"recipe": {"builder": {"module": "m", "callable": "c"}}}, "INT8", "tensorflow"),
        ("jax", {}, "FP32", "jax"),
    ],
)
def test_stack_of_a_conversion(framework: str, fields: dict, precision: str, wanted: str | None) -> None:
    stack = stack_of(entry(framework, "m.bin", **fields), precision)
    assert (stack.name if stack else None) == wanted
    if stack is not None:
        needed = packages(entry(framework, "m.bin", **fields), precision)
        assert {name for name in needed if not name.startswith("module:")} <= set(stack.pins)


def test_ready_made_precisions_need_none() -> None:
    model = entry("openvino", "m.xml")
    ready = {"artifacts": [{"path": "INT8/m.xml", "precision": "INT8"}]}
    assert stack_of(entry("openvino", **ready), "INT8") is None
    assert stack_of(model, "INT8") is not None


def test_requirements_of_a_builder_are_part_of_it() -> None:
    builder = {"module": "m", "callable": "c", "requirements": ["Some_Net==1.2", "torch==2.4.0"]}
    model = entry("pytorch", "m.pth", recipe={"builder": builder})
    stack = stack_of(model, "FP32")
    assert stack is not None
    assert stack.requirements[-2:] == ("Some_Net==1.2", "torch==2.4.0")
    assert stack.pins["torch"] == "2.4.0", "a recipe knows better than the stack"
    assert stack.pins["some-net"] == "1.2"
    assert stack.digest != load_stack("torch").digest
    assert {"Some_Net", "torch", "module:m"} <= set(packages(model, "FP32"))


def test_digest_is_of_requirements_python_and_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_stack("torch").digest
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert load_stack("torch").digest == first
    assert load_stack("nncf").digest != first
    monkeypatch.setattr(stacks, "SCHEMA", 2)
    stacks._read.cache_clear()
    assert load_stack("torch").digest != first
    stacks._read.cache_clear()


def test_builds_of_a_pinned_version_fit() -> None:
    stack = load_stack("torch")
    version, torch = stack.pins["openvino"], stack.pins["torch"]
    assert stack.fits({"openvino": f"{version}-22982", "torch": f"{torch}+cpu"})
    assert stack.fits({"OpenVINO": version})
    assert not stack.fits({"openvino": f"{version}1"})
    assert not stack.fits({"openvino": None})
    assert not stack.fits({"openvino": version, "other": "1.0"})


def test_versions_of_known_packages() -> None:
    builder = {"module": "net.deep", "callable": "c"}
    model = entry("tensorflow", "m.bin", recipe={"builder": builder})
    installed = {"openvino": "1-2", "tensorflow": "3", "net-of-mine": "4"}
    assert toolchain_in(model, "FP32", installed, {"net": "Net_of.mine"}) == {
        "openvino": "1-2",
        "tensorflow-cpu": "3",
        "Net_of.mine": "4",
    }
    assert toolchain_in(model, "FP32", {}, {}) == {
        "openvino": None,
        "tensorflow-cpu": None,
        "module:net": None,
    }


def test_ways_to_what_is_missing() -> None:
    with pytest.raises(MissingExtraError, match="installed for /x/python"):
        require_packages(entry("pytorch", "m.pth"), "FP32", {"torch": None}, python="/x/python")
    with pytest.raises(MissingExtraError) as caught:
        require_packages(entry("pytorch", "m.pth"), "FP32", {"torch": None})
    assert str(caught.value).count(f"about {load_stack('torch').size / 1e9:.1f} GB") == 2
    with pytest.raises(MissingExtraError) as caught:
        require_packages(entry("onnx", "m.onnx"), "FP32", {"strange": None})
    assert caught.value.hint == (
        "pip install strange; or use an interpreter that has what is missing: --python PATH"
    )
    require_packages(entry("pytorch", "m.pth"), "FP32", {"torch": "2.0"})


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("framework", ["jax", "pytorch", "onnx"])
def test_module_of_a_recipe_is_never_taken_for_a_package_of_an_index(framework: str, isolated: bool) -> None:
    """Whoever registers a package of that name would be installed."""
    model = entry(framework, "m.bin", recipe={"builder": {"module": "net.deep", "callable": "c"}})
    for versions in ({"torch": None, "module:net": None}, {"module:net": None}):
        with pytest.raises(MissingExtraError, match="the module 'net'") as caught:
            require_packages(model, "FP32", versions, isolated=isolated)
        for way in re.findall(r"pip install [\w -]+|\[[^]]*==VERSION\]", str(caught.value.hint)):
            assert not re.search(r"\bnet\b", way)
        assert "==VERSION]" in str(caught.value.hint)


@pytest.mark.parametrize("requirement", ["torch", "torch>=2", "torch==2.*", "-e .", "x @ https://h/x.whl"])
def test_a_requirement_pins(requirement: str) -> None:
    import msgspec

    with pytest.raises(msgspec.ValidationError, match="is not pinned as NAME==VERSION"):
        entry("pytorch", "m", recipe={"builder": {"torchvision": "x", "requirements": [requirement]}})


def test_build_of_openvino_is_known_beforehand_where_it_is_the_one_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack = load_stack("nncf")
    pin = stack.pins["openvino"]
    for own, wanted in ((f"{pin}-77", f"{pin}-77"), ("2020.1-1", pin), (None, pin)):
        monkeypatch.setattr(stacks, "versions", lambda _, own=own: {"openvino": own})
        assert stack.expected == {**stack.pins, "openvino": wanted}
