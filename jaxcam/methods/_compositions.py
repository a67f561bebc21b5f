"""Methods that are a transform of another method."""

from ..transforms import over_layers, smoothed
from ._gradcam import gradcampp
from ._hirescam import hirescam

smoothgradcampp = smoothed(gradcampp, samples=4, sigma=0.3, relative=False, statistic="derivatives").called(
    "smoothgradcampp",
    """SmoothGrad-CAM++: Grad-CAM++ by derivatives that are means over noisy inputs, `G_i` being the gradient at
    `x + ε_i`, `ε_i ~ N(0, 0.3²)`, for i = 1 .. 4: `α_k = mean G_ik² / (2 mean G_ik² + (Σ A_k) mean G_ik³ + 1e-6)`;
    `w_k = Σ relu(mean G_ik) α_k`; `M = Σ_k w_k A_k`.

    The noise is in units of the image, which is meant to be normalised. For other noise, draws or layers write
    `jaxcam.smoothed(jaxcam.gradcampp, statistic="derivatives", ...)`, which it is.

    When: Grad-CAM++ of one input is noisy, and a few passes more may be spent.

    Args:
        probe: a layer of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` -> map `(*space)`.

    Returns:
        Raw signed map `(*space)`.

    Source: Omeiza et al. 2019, "Smooth Grad-CAM++", arXiv 1908.01224 [paper], whose numerator of α is the mean of
    G_ik; that of Grad-CAM++, and 4 draws of deviation 0.3, as TorchCAM [third party], which weighs the gradient and the
    activation of the last draw, and has `Σ (mean G_ik³ ⊙ A_k)` below; the activation of the image itself [ours].
    """,
)

refinecam = over_layers(gradcampp, "product").called(
    "refinecam",
    """RefineCAM: the maps of Grad-CAM++ at several layers, multiplied: `M = Π_l N(up(relu(M_l)))`.

    For a probe of several layers, such as `jaxcam.probe(model, ("layer2", "layer3", "layer4"))`, in one forward and
    one backward pass. It takes the noise out of the maps of early layers.

    When: fine maps that all layers agree on, for one backward pass. Take a probe of several layers.

    Args:
        probe: layers of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` of a layer -> map `(*space)`.

    Returns:
        Map `(*space)` in [0, 1], at the size of the image.

    Source: RefineCAM 2026, "How to Evaluate and Refine your CAM", arXiv 2605.14641, as pytorch-grad-cam's RefineCAM
    [third party].
    """,
)

zoomcam = over_layers(hirescam, "max").called(
    "zoomcam",
    """Zoom-CAM: the maps of HiResCAM at several layers, and of each pixel the largest: `M = max_l up(N(relu(M_l)))`.

    For a probe of several layers, such as `jaxcam.probe(model, ("layer2", "layer3", "layer4"))`, in one forward and
    one backward pass. It shows what is small and would be lost in the last layer.

    When: small objects: what any of the layers shows is kept. Take a probe of several layers.

    Args:
        probe: layers of a model, from `jaxcam.probe`.
        image: `(*space, C)`, preprocessed for the model.
        target: a class index, None for the most likely class, or a callable `output -> scalar`.
        fuse: evidence `(*space, K)` of a layer -> map `(*space)`.

    Returns:
        Map `(*space)` in [0, 1], at the size of the image.

    Source: Shi et al. 2020, "Zoom-CAM", arXiv 2010.08644 [paper]; each map scaled to [0, 1] by its minimum too [ours].
    """,
)
