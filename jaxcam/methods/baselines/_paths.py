"""Baselines that are a transform of a gradient."""

from ...transforms._integrated import integrated
from ...transforms._smoothed import smoothed
from .._hirescam import hirescam
from ._gradients import saliency

integrated_gradients = integrated(hirescam).called(
    "integrated_gradients",
    """Integrated Gradients: `M = Σ_k (A - A₀)_k ⊙ G_k`, G being the mean gradient ∂s/∂A at 50 points of the straight
    path from an image of zeros x₀ (the mean colour) to the image. At `jaxcam.INPUT`, where A is the image, it adds up
    to `s(x) - s(x₀)`, but for the error of the 50 points.

    `jaxcam.integrated(jaxcam.hirescam, steps=, baseline=, rule=)` is the same with other points or another x₀.

    When: attributions that add up to the change of score from a baseline, whatever the network.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class of the image, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`, in units of the score; displayed, only the evidence for the target is seen.

    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", arXiv 1703.01365 [paper]; points and
    weights of Gauss and Legendre, 50 of them, as captum's default (xplique takes the trapezoid rule) [third party].
    """,
)

smoothgrad = smoothed(saliency).called(
    "smoothgrad",
    """SmoothGrad: `M = mean_i max_k |G_k(x + ε_i)|`, 25 noisy images, the noise's deviation 0.15 of the image's range.

    The size of the gradient is averaged, as captum's NoiseTunnel over Saliency does. `channels="sum"` averages the
    signed gradient, the paper's first formula. `jaxcam.smoothed(jaxcam.saliency, samples=, sigma=, statistic=)` is the
    same with other noise, or squared (SmoothGrad²) or the variance (VarGrad); over `jaxcam.gradient_times_input` it is
    SmoothGrad × input.

    When: a gradient map with less of its noise, at 25 passes.

    Args:
        probe: the input, from `jaxcam.probe(model, jaxcam.INPUT)`, or any other layer of a model.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class of the image, or a callable `output -> scalar`.
        channels: "max", the largest absolute value; "mean", the mean absolute value; "sum", the signed sum.

    Returns:
        Map `(*space)`, at least 0 but for "sum".

    Source: Smilkov et al. 2017, "SmoothGrad", arXiv 1706.03825 [paper] for the noise; the absolute value before the
    mean as captum [third party] (PAIR's code takes it after the mean).
    """,
)
