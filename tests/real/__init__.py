"""Real inputs whose answers are known: what a network of the catalog is fed, and what must come out."""

from tests.real.case import Arrays, Case, Member, Outputs, module_of
from tests.real.pictures import PICTURES
from tests.real.sounds import SOUNDS

CASES: dict[str, Case] = {**SOUNDS, **PICTURES}
NEED_A_FRAMEWORK = tuple(n for n in CASES if n.startswith(("facenet", "resemblyzer")) or n == "fer-emotion")

__all__ = ["CASES", "NEED_A_FRAMEWORK", "Arrays", "Case", "Member", "Outputs", "module_of"]
