"""How two runs' settings differ, in words."""

from collections.abc import Mapping
from typing import Any

# A resumed run may differ in these: they do not change what is computed, or only in rounding.
FREE = ("started", "command", "versions", "platform", "source.location", "weights.file")


def differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """`method: 'gradcam' there, 'hirescam' now` for everything that keeps a run from going on."""
    old, new = flatten(there), flatten(now)
    unknown = "probe." if "probe" not in there else None  # a store of before that was kept: `notes` says so
    names = [name for name in dict.fromkeys([*old, *new]) if not name.startswith(FREE)]
    names = [name for name in names if unknown is None or not name.startswith(unknown)]
    return [
        f"{name}: {_short(old, name)} there, {_short(new, name)} now"
        for name in names
        if (name in old, old.get(name)) != (name in new, new.get(name))
    ]


def _short(values: Mapping[str, Any], name: str) -> str:
    text = repr(values[name]) if name in values else "nothing"
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} letters)"


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"source": {"kind": "folder"}}` as `{"source.kind": "folder"}`."""
    flat: dict[str, Any] = {}
    for name, each in value.items():
        flat |= flatten(each, f"{prefix}{name}.") if isinstance(each, Mapping) else {f"{prefix}{name}": each}
    return flat
