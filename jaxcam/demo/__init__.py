"""The embedded default: a small trained network and scenes of real digits, to see and measure every method at once."""

from ._network import LAYER, DigitFinder, load, prepare
from ._run import run
from ._scenes import Scenes, scenes

__all__ = ["LAYER", "DigitFinder", "Scenes", "load", "prepare", "run", "scenes"]
