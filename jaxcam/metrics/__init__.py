"""How good a map is: faithfulness by the probability of perturbed pictures, and localisation by boxes.

Every metric returns one value an image, `(B,)`; the mean over images is what papers print. Report a map of ones, a
random one and a centred Gaussian (`floors`) beside every method: the map of ones has no drop at all.
"""

from ._adcc import adcc, coherency, complexity
from ._boxes import rescale_boxes
from ._drop import average_drop, average_gain, average_increase
from ._evaluate import METRICS, evaluate
from ._floors import centred_maps, floors, random_maps, uniform_maps
from ._imputation import impute
from ._insertion import deletion, deletion_curve, insertion, insertion_curve
from ._pointing import energy_pointing_game, mean_over_classes, pointing_game
from ._road import road, road_curves

__all__ = [
    "METRICS",
    "adcc",
    "average_drop",
    "average_gain",
    "average_increase",
    "centred_maps",
    "coherency",
    "complexity",
    "deletion",
    "deletion_curve",
    "energy_pointing_game",
    "evaluate",
    "floors",
    "impute",
    "insertion",
    "insertion_curve",
    "mean_over_classes",
    "pointing_game",
    "random_maps",
    "rescale_boxes",
    "road",
    "road_curves",
    "uniform_maps",
]
