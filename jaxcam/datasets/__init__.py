"""Whole data sets: where pictures come from, reading them ahead of the devices, and what to see of their maps."""

from itertools import chain
from typing import TYPE_CHECKING

from .._lazy import lazy

# Names load when they are first used, as those of jaxcam do.
_HOMES = {
    "_record": ("Record", "Source", "Unreadable"),
    "_sources": ("open",),
    "_run": ("run",),
    "_report": ("Written", "report"),
    "_meter": ("Summary",),
    "_loop": ("BadRecord",),
    "_signals": ("Stopped",),
    "_status": ("Status", "status"),
    "_store": ("open_store",),
}

__all__ = sorted(chain(*_HOMES.values()))  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from ._loop import BadRecord
    from ._meter import Summary
    from ._record import Record, Source, Unreadable
    from ._report import Written, report
    from ._run import run
    from ._signals import Stopped
    from ._sources import open
    from ._status import Status, status
    from ._store import open_store


__getattr__ = lazy(__name__, _HOMES)


def __dir__():
    return __all__
