"""The arrays of a store: names, shapes, types and names of their axes."""

from typing import NamedTuple


class Column(NamedTuple):
    """One array of a store, with an axis of records before those named here.

    Attributes:
        dtype: zarr's name of the type, or "string".
        shape, axes: of one record.
        fill: what is read where nothing is written yet, and stored for a record that failed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    fill: float | int | str = 0


STORED = ("image", "layer", "raw")  # which maps are kept
MAPS_DTYPES = ("float16", "float32")
AXES = ("z", "y", "x")  # of space: the last ones of a map
STATUS = "status"
LEFT, DONE, FAILED = 0, 1, 2  # its values
SHOWN = 5  # most likely classes that are kept

# The arrays that a run may write, but for metrics: kinds of their types (numpy's letters, T for text) and their
# numbers of axes.
KINDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "maps": ("fu", (2, 3, 4, 5)),
    "target": ("iu", (1, 2)),
    "score": ("f", (1, 2)),
    "probability": ("f", (1, 2)),
    "predicted": ("iu", (1,)),
    "top_class": ("iu", (2,)),
    "top_logit": ("f", (2,)),
    "logits": ("f", (2,)),
    "label": ("iu", (1,)),
    "path": ("T", (1,)),
    "digest": ("u", (2,)),
    "error": ("T", (1,)),
    "note": ("T", (1,)),
    STATUS: ("iu", (1,)),
}


def columns(
    *,
    size: tuple[int, ...],
    maps_dtype: str,
    targets: int,
    classes: int,
    logits: bool,
    metrics: tuple[str, ...],
) -> tuple[Column, ...]:
    """The arrays of a store; `status` is last, and is written last.

    Args:
        size: of a stored map.
        maps_dtype: one of `MAPS_DTYPES`.
        targets: how many each record has; one has no axis.
        classes: of the model.
        logits: keep the whole output, not only the most likely classes.
        metrics: of each map.
    """
    several = ((targets,), ("target",)) if targets > 1 else ((), ())
    k = min(SHOWN, classes)
    nan = "NaN"
    return (
        Column("maps", maps_dtype, (*several[0], *size), (*several[1], *AXES[-len(size) :]), 0.0),
        Column("target", "int32", *several, -1),
        Column("score", "float32", *several, nan),
        Column("probability", "float32", *several, nan),
        Column("predicted", "int32", (), (), -1),
        Column("top_class", "int32", (k,), ("rank",), -1),
        Column("top_logit", "float32", (k,), ("rank",), nan),
        *([Column("logits", "float32", (classes,), ("class",), nan)] if logits else []),
        *(Column(name, "float32", *several, nan) for name in metrics),
        Column("label", "int32", (), (), -1),
        Column("path", "string", fill=""),
        Column("digest", "uint8", (32,), ("byte",), 0),
        Column("error", "string", fill=""),
        Column("note", "string", fill=""),
        Column(STATUS, "uint8", (), (), LEFT),
    )
