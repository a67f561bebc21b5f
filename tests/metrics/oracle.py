"""The metrics once more, in float64 NumPy, an image and a step at a time."""

import itertools

import numpy as np


def probability(probe, image, target):
    logits = np.asarray(probe(image)[0], np.float64)
    exp = np.exp(logits - logits.max())
    return exp[target] / exp.sum()


def gaussian_blur(image):
    height, width, _ = image.shape
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 5.0**2))
    window = np.outer(window, window) / window.sum() ** 2
    padded = np.pad(image, ((5, 5), (5, 5), (0, 0)))
    result = np.zeros_like(image)
    for dy, dx in itertools.product(range(11), range(11)):
        result += window[dy, dx] * padded[dy : dy + height, dx : dx + width]
    return result


def curve(probe, image, target, shown, before, after, steps):
    order = np.argsort(-shown.ravel(), kind="stable")
    values = []
    for step in range(steps + 1):
        now = before.reshape(-1, image.shape[2]).copy()
        turned = order[: step * shown.size // steps]
        now[turned] = after.reshape(-1, image.shape[2])[turned]
        values.append(probability(probe, now.reshape(image.shape), target))
    return np.array(values)


def imputed(image, known):
    """The linear system as a sparse matrix, solved directly."""
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import spsolve

    height, width = known.shape
    unknowns = {place: index for index, place in enumerate(zip(*np.nonzero(~known), strict=True))}
    entries, right = {}, np.zeros((len(unknowns), image.shape[2]))
    for (y, x), row in unknowns.items():
        total = 0
        for dy, dx in itertools.product((-1, 0, 1), (-1, 0, 1)):
            place = y + dy, x + dx
            if (dy, dx) == (0, 0) or not (0 <= place[0] < height and 0 <= place[1] < width):
                continue
            weight = 1 / 12 if dy and dx else 1 / 6
            total += weight
            if known[place]:
                right[row] += weight * image[place]
            else:
                entries[row, unknowns[place]] = -weight
        entries[row, row] = total
    rows, columns = zip(*entries, strict=True)
    matrix = csc_matrix((list(entries.values()), (rows, columns)))
    result = image.astype(np.float64).copy()
    result[~known] = spsolve(matrix, right).reshape(len(unknowns), -1)
    return result
