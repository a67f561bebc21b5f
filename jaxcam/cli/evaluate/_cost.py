"""What an evaluation costs, in forward passes of the model, counted before it begins."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from ...metrics._floors import FLOORS
from ...metrics._registry import TABLE
from ...metrics._road import PERCENTILES

if TYPE_CHECKING:
    from ._measure import Protocol, Subject

LONG = 1000  # forward passes, from which on it is said what they are


def passes(subject: "Subject", protocol: "Protocol") -> int:
    """Forward passes of one model: those of the maps, and those that measure the maps and the floors."""
    cases = sum(map(len, subject.cases.values()))
    work = {each for name in protocol.metrics for each in TABLE[name].work}
    again = "again" in work
    maps = sum(forwards * (1 + again) + again for forwards in subject.forwards.values())
    measured = len(subject.forwards) + len(FLOORS) * protocol.floors
    return round(cases * (maps + measured * _of_a_map(work, protocol.steps)))


def described(subjects: Sequence["Subject"], protocol: "Protocol") -> str:
    """`about 41,200 forward passes of resnet50`; nothing where they are few."""
    counts = {subject.name: passes(subject, protocol) for subject in subjects}
    if sum(counts.values()) < LONG:
        return ""
    return "about " + " and ".join(
        f"{_rounded(count):,} forward passes of {name}" for name, count in counts.items()
    )


def _of_a_map(work: AbstractSet[str], steps: int) -> int:
    """The picture itself once, and pictures of which a part is hidden."""
    masked = "drop" in work
    steps_of = (steps + 1) * len(work & {"insertion", "deletion"})
    road = 2 * len(PERCENTILES) * ("road" in work)
    hidden = masked + steps_of + road
    return hidden + bool(hidden)


def _rounded(count: int) -> int:
    """To two digits."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return round(count / unit) * unit
