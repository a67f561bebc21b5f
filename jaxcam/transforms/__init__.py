"""Transforms: functions of a method that return a method."""

from ._augmented import augmented as augmented
from ._integrated import integrated as integrated
from ._over_layers import over_layers as over_layers
from ._smoothed import smoothed as smoothed
