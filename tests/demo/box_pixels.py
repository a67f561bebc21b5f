"""The pixels of boxes."""

import numpy as np


def inside(boxes, size):
    """The pixels of each box x0, y0, x1, y1 (ends exclusive)."""
    x0, y0, x1, y1 = np.moveaxis(boxes, -1, 0)[..., None]
    rows, columns = np.arange(size[0]), np.arange(size[1])
    return ((rows >= y0) & (rows < y1))[..., :, None] & ((columns >= x0) & (columns < x1))[..., None, :]
