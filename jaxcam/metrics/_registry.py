"""The table of metrics: what each is called, which way is better, what it needs and what it computes.

It loads no JAX, so that the command line can name the metrics in its help.
"""

from typing import Literal, NamedTuple

STEPS = 224  # of insertion and deletion, by default
TOLERANCE = 15  # of the pointing game, by default: the published pixels, for pictures of 224

Need = Literal["key", "boxes", "method"]
Work = Literal["drop", "even", "insertion", "deletion", "road", "again"]


class Metric(NamedTuple):
    """One row of the table.

    Attributes:
        title: the name in tables and figures.
        better: the direction of better maps.
        percent: whether its values are percentages; others are shares of 1, which tables show as percentages.
        needs: the argument of `evaluate` without which it cannot be computed.
        work: the perturbations of the picture whose results it takes; "again" for another map of a masked picture.
        asked: whether it is measured only where it is named: not by default, and not by a data set's run.
        basic: whether `jaxcam evaluate` measures it where no metric is named.
        difference: the two metrics of which it is the first minus the second; tables show it beside them.
    """

    title: str
    better: Literal["lower", "higher"]
    percent: bool = False
    needs: Need | None = None
    work: tuple[Work, ...] = ()
    asked: bool = False
    basic: bool = False
    difference: tuple[str, str] | None = None

    @property
    def factor(self) -> int:
        """What a value is multiplied by to be a percentage."""
        return 1 if self.percent else 100

    @property
    def arrow(self) -> str:
        """The direction of better maps, beside the title of a column."""
        return "↓" if self.better == "lower" else "↑"


TABLE: dict[str, Metric] = {
    "average_drop": Metric("average drop", "lower", percent=True, work=("drop",), basic=True),
    "drop_at_equal_brightness": Metric(
        "drop at equal brightness", "lower", percent=True, work=("even",), asked=True
    ),
    "average_increase": Metric("average increase", "higher", percent=True, work=("drop",), basic=True),
    "average_gain": Metric("average gain", "higher", percent=True, work=("drop",)),
    "insertion": Metric("insertion", "higher", work=("insertion",), basic=True),
    "deletion": Metric("deletion", "lower", work=("deletion",), basic=True),
    "insertion_minus_deletion": Metric(
        "insertion − deletion", "higher", difference=("insertion", "deletion")
    ),
    "road": Metric("ROAD", "higher", needs="key", work=("road",)),
    "road_morf": Metric("ROAD MoRF", "lower", needs="key", work=("road",)),
    "road_lerf": Metric("ROAD LeRF", "higher", needs="key", work=("road",)),
    "complexity": Metric("complexity", "lower", basic=True),
    "sparseness": Metric("sparseness", "higher", asked=True),
    "entropy": Metric("entropy", "lower", asked=True),
    "coherency": Metric("coherency", "higher", needs="method", work=("again",)),
    "adcc": Metric("ADCC", "higher", needs="method", work=("drop", "again")),
    "pointing_game": Metric("pointing game", "higher", needs="boxes", basic=True),
    "energy_pointing_game": Metric("energy inside", "higher", needs="boxes", basic=True),
}

METRICS: dict[str, str] = {name: each.better for name, each in TABLE.items() if each.difference is None}
"""What `evaluate` can measure, and which way is better."""

NEED_NOTHING = tuple(name for name in METRICS if TABLE[name].needs is None and not TABLE[name].asked)
"""The metrics of maps and pictures alone: what `evaluate` measures by default, and what a data set's run can keep."""
