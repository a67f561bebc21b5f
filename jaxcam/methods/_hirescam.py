"""HiResCAM: gradient times activation, position by position."""

from jaxtyping import Array, Float

from .._fuse import Fuse, channel_sum
from .._method import of_probe
from ..probes._probe import Image, Probe
from ..targets._score import Target


@of_probe
def hirescam(
    probe: Probe, image: Image, target: Target = None, *, fuse: Fuse = channel_sum
) -> Float[Array, "*space"]:
    """HiResCAM: `M = Σ_k G_k ⊙ A_k`, the product at every position first, then the sum over channels.

    Where one fully connected layer follows, with or without pooling before it, the map is faithful: it adds up to
    the score, `Σ M = s_c - b_c`, so every position shows what it contributed. With global average pooling it
    is Grad-CAM's map exactly, and CAM's divided by the number of positions. There is no ReLU inside the sum; that is
    another method, `gradcam_elementwise`. The target should be a logit: the sum does not hold for a probability.

    When: the map must show what the score used: exact where one linear layer follows, and at the input.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score.

    Source: Draelos & Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations", arXiv 2011.08891
    [paper].
    """
    look = probe.look(image, target)
    return fuse(look.gradient * look.activation)
