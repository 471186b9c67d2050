"""The generated catalogs as a whole: complete, addressed, unique, and true to what was there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from model_zoo.catalog import Catalog, builtin_catalog
from model_zoo.schema import TASKS
from model_zoo.sources import integrity_of

DL_STREAMER = [
    "face-detection-adas-0001",
    "age-gender-recognition-retail-0013",
    "emotions-recognition-retail-0003",
    "landmarks-regression-retail-0009",
    "facial-landmarks-35-adas-0002",
    "person-vehicle-bike-detection-2004",
    "person-attributes-recognition-crossroad-0230",
    "vehicle-attributes-recognition-barrier-0039",
    "head-pose-estimation-adas-0001",
    "human-pose-estimation-0001",
    "aclnet",
    "action-recognition-0001-encoder",
    "action-recognition-0001-decoder",
    "instance-segmentation-security-1040",
    "instance-segmentation-security-0002",
    "efficientnet-b0",
    "mask_rcnn_inception_resnet_v2_atrous_coco",
    "mask_rcnn_resnet50_atrous_coco",
    "resnest-50-pytorch",
    "person-detection-retail-0013",
    "person-vehicle-bike-detection-crossroad-0078",
    "single-human-pose-estimation-0001",
    "ssdlite_mobilenet_v2",
    "vehicle-license-plate-detection-barrier-0106",
    "license-plate-recognition-barrier-0007",
    "vehicle-detection-adas-0002",
]


@pytest.fixture(scope="module")
def omz():
    return {model.name: model for model in Catalog([builtin_catalog() / "omz"])}


def test_every_model_and_composite_is_there(omz):
    assert sum(bool(model.stages) for model in omz.values()) == 12
    whole = [model for model in omz.values() if not model.stages]
    assert len(whole) == 264
    stages = {stage for model in omz.values() for stage in model.stages}
    assert (len(stages), len(omz.keys() - stages)) == (28, 248), "as docs/open-model-zoo.md says"
    files = [artifact for model in whole for artifact in model.artifacts]
    assert len(files) == 1215
    assert all(artifact.sha384 and artifact.size is not None for artifact in files)
    assert sum(artifact.size for artifact in files) // 10**8 == 387
    assert sum(len(artifact.sources) == 2 for artifact in files) >= 110
    assert sum(len(model.replace) for model in whole) == 167
    assert sum(artifact.unpack is not None for artifact in files) == 65


def test_stages_and_composites_name_each_other(omz):
    for model in omz.values():
        for stage in model.stages:
            assert omz[stage].omz.composite == model.name
            assert omz[stage].omz.subdirectory == f"{model.omz.subdirectory}/{stage}"
        if model.omz.composite:
            assert model.name in omz[model.omz.composite].stages


def test_what_samples_ask_for_is_there_or_was_gone_before(omz):
    assert [name for name in DL_STREAMER if name not in omz] == []


def test_one_mirror_rule_redirects_all_of_the_storage(omz):
    urls = [s.url for m in omz.values() for a in m.artifacts for s in a.sources if s.kind == "url"]
    ours = [url for url in urls if "storage.openvinotoolkit" in url]
    assert len(ours) > 900
    assert all(url.startswith("https://storage.openvinotoolkit.org/") for url in ours)
    assert all(urlsplit(url).scheme in {"http", "https"} for url in urls)


def test_what_cannot_be_converted_says_why(omz):
    unable = {model.name: model.reason for model in omz.values() if not model.convertible}
    assert len(unable) < 50
    assert "ssd_v2_support.json" in unable["ssdlite_mobilenet_v2"]
    assert all(len(reason) > 40 for reason in unable.values())
    for model in omz.values():
        start = model.recipe.model
        if model.convertible and start and not any(a.unpack for a in model.artifacts):
            assert start in {a.path for a in model.artifacts}, model.name
        builder = model.recipe.builder
        if builder and builder.weights and not any(a.unpack for a in model.artifacts):
            assert builder.weights in {a.path for a in model.artifacts}, model.name


def test_labels_are_stored_once_and_read(omz):
    counts = {len(model.labels) for model in omz.values() if model.labels}
    assert counts >= {20, 80, 81, 92, 149, 1000, 1001}
    assert omz["yolo-v4-tf"].labels[0] == "person"
    for provider in ("omz", "torchvision"):
        texts = [path.read_text() for path in (builtin_catalog() / provider / "labels").iterdir()]
        assert len(set(texts)) == len(texts)


def test_names_are_unique_across_providers_even_where_case_does_not_count():
    names = Catalog([builtin_catalog()]).names()
    assert len({name.casefold() for name in names}) == len(names)


def test_the_onnx_zoo_is_there():
    models = list(Catalog([builtin_catalog() / "onnx"]))
    assert len(models) == 184
    for model in models:
        (artifact,) = model.artifacts
        assert integrity_of(artifact) == "pinned"
        assert model.name == artifact.path.removesuffix(".onnx")
        hub, plain = artifact.sources
        assert hub.hf == "onnxmodelzoo/legacy_models"
        assert plain.url == f"https://huggingface.co/{hub.hf}/resolve/main/{hub.file}"
        assert hub.file.endswith(f"/{artifact.path}")


def test_every_weights_entry_of_torchvision_is_there():
    from model_zoo.sources.torchvision import weight_table

    models = list(Catalog([builtin_catalog() / "torchvision"]))
    found = {model.artifacts[0].sources[0].torchvision for model in models}
    assert found == set(weight_table().weights)
    for model in models:
        assert integrity_of(model.artifacts[0]) in {"prefix", "first-use"}
        assert model.recipe.builder.weights == model.artifacts[0].path


def test_one_task_has_one_word():
    tasks = {model.task for model in Catalog([builtin_catalog()])}
    assert tasks <= set(TASKS)
    root = Path(__file__).resolve().parents[2]
    for page in [root / "README.md", *(root / "docs").glob("*.md")]:
        shown = re.findall(
            r"(?:^task: |--task |task=\")([\w/-]+)", page.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert set(shown) <= {*TASKS}, page


def test_descriptions_are_sentences():
    for model in Catalog([builtin_catalog()]):
        assert model.description[0].isupper(), model.name
        assert model.description.endswith("."), model.name
        assert "{" not in model.description, model.name
        assert "  " not in model.description, model.name
