"""Models of the starter catalog on real inputs: fetched, converted, run, and right.

``tests/heavy/test_starter_runtimes.py`` compares with what the packages' own runtimes say of the same inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import model_zoo
from tests.real import CASES, NEED_A_FRAMEWORK, Member

if TYPE_CHECKING:
    from tests.conftest import WheelIndex

pytestmark = [pytest.mark.wheels, pytest.mark.timeout(600)]
MODELS = sorted(CASES.keys() - set(NEED_A_FRAMEWORK))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, wheel_index: WheelIndex) -> model_zoo.Zoo:
    wheel_index(MODELS)
    return model_zoo.Zoo(cache=tmp_path_factory.mktemp("answers"), layers=[], catalogs=[])


@pytest.mark.parametrize("precision", ["FP32", "FP16"])
@pytest.mark.parametrize("name", MODELS)
def test_the_answer_is_known(zoo: model_zoo.Zoo, wheel_member: Member, name: str, precision: str) -> None:
    compiled = zoo.load(name, precision=precision, device="CPU")
    case = CASES[name]
    case.check(list(compiled(case.feed(wheel_member)).values()), wheel_member)
