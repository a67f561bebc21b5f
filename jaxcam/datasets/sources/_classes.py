"""Classes by name: folders and manifests say cat and dog, labels are numbers."""

import re
from collections.abc import Iterable, Mapping, Sequence

from ...files._labels import Labels, labels_for


def number(names: Iterable[str], classes: Labels | None) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """The names of all classes by index, and the index of each of `names`.

    Without `classes`, synsets of ImageNet-1k (n01440764) are ImageNet's classes, and other names are numbered in
    sorted order, as torchvision's ImageFolder numbers folders.

    Raises ValueError for a name that is not in `classes` (the nearest is named).
    """
    distinct = sorted(set(names))
    if classes is None and distinct and all(map(is_synset, distinct)):
        imagenet = labels_for("", 1000)
        try:
            return tuple(imagenet.names), {name: imagenet.index(name) for name in distinct}
        except ValueError:
            pass  # of the larger ImageNet
    if classes is None:
        return tuple(distinct), {name: index for index, name in enumerate(distinct)}
    return tuple(classes.names), {name: classes.index(name) for name in distinct}


def as_labels(classes: Labels | Sequence[str] | None) -> Labels | None:
    """Names of classes by index, as a table."""
    if classes is None or isinstance(classes, Labels):
        return classes
    return Labels([(name,) for name in classes], len(classes))


def is_synset(name: str) -> bool:
    return re.fullmatch(r"n\d{8}", name) is not None
