"""Pictures as rows and methods as columns, in one figure."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .._display import overlay
from .._dtypes import ArrayLike
from .._errors import unknown

SIDE = 2.2  # of a panel, in inches
SPACE = {1: "signals (B, L, C)", 2: "pictures (B, H, W, 3)", 3: "volumes (B, D, H, W, C)"}


class Shown(Figure):
    """A matplotlib figure that a notebook shows where a cell ends with it, whether or not pyplot is there."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=self.dpi)
        return file.getvalue()


def show(
    pictures: ArrayLike,
    maps: ArrayLike | Mapping[str, ArrayLike],
    *,
    titles: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    boxes: Sequence[Any] | None = None,
    alpha: float | int = 0.5,
    colormap: str = "turbo",
    rank: int = 2,
) -> Figure:
    """A figure of pictures beside their maps: a row for each picture, a column for each method or class.

    Displayed maps, in [0, 1], are laid over the picture. Raw maps, of which any value is outside [0, 1], are drawn by
    themselves from blue (below 0) over white to red, on one scale for each column, with its colour bar.

    Args:
        pictures: `(B, H, W, 3)`, or one `(H, W, 3)`: uint8, or of floating point. Values outside [0, 1], such as
            those that a model's preprocessing gives, are scaled to [0, 1] for each picture. With `rank`, signals
            `(B, L, C)`, drawn as curves, or volumes `(B, D, H, W, C)`, drawn as their slice in the middle.
        maps: `(B, *space)`, or `(B, T, *space)` for T columns, or a dictionary of such maps by the columns' names;
            without B for one picture. They need not have the picture's size.
        titles: of the rows, one for each picture.
        columns: of the columns, where `maps` is an array.
        boxes: for each picture a list of boxes x0, y0, x1, y1 in its pixels, or one box.
        alpha: share of the colours where maps are laid over pictures.
        colormap: any of matplotlib's, for displayed maps.
        rank: the number of spatial axes: 1 for signals, 2 for pictures, 3 for volumes.

    Returns:
        A `matplotlib.figure.Figure`: a notebook shows it, `savefig` writes it.

    Raises:
        ValueError: pictures of another shape, maps that do not fit them, counts of titles, columns or boxes that
            disagree, an unknown colour map.

    Example:
        >>> import jaxcam
        >>> from jaxcam import demo
        >>> scenes = demo.scenes(2, seed=0)
        >>> probe = jaxcam.probe(demo.load(), "stage3")
        >>> images = demo.prepare(scenes.images)
        >>> maps = {name: jaxcam.explain(probe, images, method=name) for name in ("gradcam", "hirescam")}
        >>> figure = jaxcam.show(scenes.images, maps)
        >>> len(figure.axes)
        6
    """
    from matplotlib import colormaps

    if colormap not in colormaps:
        raise ValueError(unknown("colour map", colormap, list(colormaps)))
    given = np.asarray(pictures)
    grounds = _grounds(given, rank)
    shown = _columns(maps, columns, len(grounds), rank, one=given.ndim == rank + 1)
    for name, given in (("titles", titles), ("boxes", boxes)):
        if given is not None and len(given) != len(grounds):
            raise ValueError(f"{name}: one for each of the {len(grounds)} pictures; got {len(given)}")
    if boxes is not None and rank != 2:
        raise ValueError("boxes are drawn in pictures only")
    scales = {name: _scale(column) for name, column in shown.items()}

    height, width = (1, 2) if rank == 1 else np.array(grounds.shape[-3:-1]) / max(grounds.shape[-3:-1])
    wide = SIDE * width * (1 + len(shown)) + 0.4
    figure = Shown(figsize=(wide, SIDE * height * len(grounds) + 0.5), dpi=110, layout="constrained")
    grid = figure.subplots(len(grounds), 1 + len(shown), squeeze=False)
    for number, (row, ground) in enumerate(zip(grid, grounds, strict=True)):
        _draw_ground(row[0], ground, rank)
        if titles is not None:
            row[0].set_ylabel(titles[number], fontsize=9)
        for axes, (name, column) in zip(row[1:], shown.items(), strict=True):
            drawn = _draw_map(axes, ground, column[number], rank, scales[name], alpha, colormap)
            if number == len(grounds) - 1 and scales[name] is not None and rank > 1:
                figure.colorbar(drawn, ax=list(grid[:, 1 + list(shown).index(name)]), fraction=0.05, pad=0.02)
        for axes in row:
            axes.set(xticks=[], yticks=[])
            for each in [] if boxes is None else np.reshape(boxes[number], (-1, 4)):
                axes.add_patch(_outline(each))
    for axes, name in zip(grid[0], ("", *shown), strict=True):
        axes.set_title(name, fontsize=9)
    return figure


def _grounds(pictures: np.ndarray, rank: int) -> np.ndarray:
    """What is explained, `(B, *space, C)`; pictures and volumes in [0, 1], of three channels."""
    if rank not in SPACE:
        raise ValueError(f"the rank is 1 (signals), 2 (pictures) or 3 (volumes); got {rank!r}")
    given = pictures[None] if pictures.ndim == rank + 1 else pictures
    if given.ndim != rank + 2 or not given.size or (rank == 2 and given.shape[-1] not in (1, 3)):
        raise ValueError(f"rank={rank} takes {SPACE[rank]}; got shape {pictures.shape}")
    given = given.astype(np.float32) / (255 if given.dtype == np.uint8 else 1)
    if rank == 1:
        return given
    if given.shape[-1] != 3:
        given = np.repeat(given.mean(axis=-1, keepdims=True), 3, axis=-1)
    low, high = (each(given, axis=tuple(range(1, given.ndim)), keepdims=True) for each in (np.min, np.max))
    inside = (low >= 0) & (high <= 1)
    return np.where(inside, given, (given - low) / np.where(high > low, high - low, 1))


def _columns(
    maps: ArrayLike | Mapping[str, ArrayLike],
    names: Sequence[str] | None,
    count: int,
    rank: int,
    *,
    one: bool,
) -> dict[str, np.ndarray]:
    """Maps `(B, *space)` by the name of their column."""
    if isinstance(maps, Mapping):
        if names is not None:
            raise ValueError("the columns have the names of the dictionary of maps: leave columns= out")
        if not maps:
            raise ValueError("maps: at least one column; got an empty dictionary")
        return {
            name if len(each) == 1 else f"{name} {number}": found
            for name, given in maps.items()
            for each in [_split(given, count, rank, one)]
            for number, found in enumerate(each, start=1)
        }
    found = _split(maps, count, rank, one)
    if names is not None and len(names) != len(found):
        raise ValueError(f"columns: a name for each of the {len(found)} columns of maps; got {len(names)}")
    return dict(
        zip(
            names or [""] if len(found) == 1 else names or map(str, range(1, 1 + len(found))),
            found,
            strict=True,
        )
    )


def _split(maps: ArrayLike, count: int, rank: int, one: bool) -> list[np.ndarray]:
    """Maps `(B, T, *space)` as T arrays `(B, *space)`."""
    given = found = np.asarray(maps)
    if one and given.ndim in (rank, rank + 1) and (given.ndim == rank or given.shape[0] != 1):
        given = given[None]
    if given.ndim == rank + 1:
        given = given[:, None]
    if given.ndim != rank + 2 or given.shape[0] != count:
        raise ValueError(
            f"maps of {count} {SPACE[rank].split()[0]} must be ({count}, *space) or ({count}, T, *space) with "
            f"{rank} axes of space; got shape {found.shape}"
        )
    return list(np.moveaxis(given.astype(np.float32), 1, 0))


def _scale(column: np.ndarray) -> float | None:
    """The largest size of raw maps; None for displayed ones."""
    finite = column[np.isfinite(column)]
    if not finite.size or (finite.min() >= 0 and finite.max() <= 1):
        return None
    return float(np.abs(finite).max())


def _draw_ground(axes: Axes, ground: np.ndarray, rank: int) -> None:
    if rank == 1:
        axes.plot(ground, linewidth=0.8)
        axes.set_xlim(0, len(ground) - 1)
    else:
        axes.imshow(_slice(ground, 3))


def _draw_map(
    axes: Axes,
    ground: np.ndarray,
    shown: np.ndarray,
    rank: int,
    scale: float | None,
    alpha: float,
    colormap: str,
) -> Any:
    limits = (
        {"vmin": 0, "vmax": 1, "cmap": colormap}
        if scale is None
        else {"vmin": -scale, "vmax": scale, "cmap": "RdBu_r"}
    )
    if rank == 1:
        _draw_ground(axes, ground, rank)
        low, high = axes.get_ylim()
        return axes.imshow(
            shown[None], extent=(0, len(ground) - 1, low, high), aspect="auto", alpha=alpha, **limits
        )
    picture, values = _slice(ground, 3), _slice(shown, 2)
    height, width = picture.shape[:2]
    if scale is None and values.shape == (height, width) and np.isfinite(values).all():
        return axes.imshow(overlay(picture, values.clip(0, 1), alpha=alpha, colormap=colormap))
    if scale is None:
        axes.imshow(picture)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    return axes.imshow(values, extent=extent, alpha=alpha if scale is None else 1, **limits)


def _slice(values: np.ndarray, axes: int) -> np.ndarray:
    """The slice in the middle of a volume; a picture as it is."""
    return values[len(values) // 2] if values.ndim > axes else values


def _outline(box: np.ndarray) -> Rectangle:
    x0, y0, x1, y1 = (float(each) - 0.5 for each in box)
    return Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor="white", linewidth=1.2)
