"""Whole data sets: where pictures come from, reading them ahead of the devices, and what to see of their maps."""

from typing import TYPE_CHECKING

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
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]

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


def __getattr__(name: str):
    from importlib import import_module

    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxcam.datasets' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
