"""pytorch-grad-cam and TorchCAM on the same device in the same run, with the same arithmetic on both sides."""

import os
from collections.abc import Callable, Iterator

import jax
import numpy as np
from latency import weights

import converters
import jaxcam
from jaxcam import models

from .bench import Bench, Row

METHODS = {"gradcam": "GradCAM", "layercam": "LayerCAM", "scorecam": "ScoreCAM", "ablationcam": "AblationCAM"}
PASSES = ("scorecam", "ablationcam")  # many of them: one picture is enough
BATCH = 32  # masks at once of the peer's Score- and Ablation-CAM: its default


def peers(bench: Bench) -> Iterator[Row]:
    """From a batch on the device to displayed maps on the host."""
    try:
        import torch
    except ImportError:
        yield {"not run": "torch is not installed"}
        return
    if bench.gpu and not torch.cuda.is_available():
        yield {"not run": "torch sees no GPU"}
        return
    model, size, batch = ("resnet18", 64, 2) if bench.small else ("resnet50", 224, 32)
    state = {name: value.numpy() for name, value in weights(model).state_dict().items()}
    try:  # after the weights: torchvision must have loaded
        import pytorch_grad_cam  # noqa: F401
        import torchcam  # noqa: F401
    except ImportError as error:
        yield {"not run": str(error)}
        return
    where = torch.device("cuda" if bench.gpu else "cpu")
    probe = jaxcam.probe(converters.from_torch(models.build(model), state), "layer4")
    for method in ("gradcam", "layercam") if bench.small else METHODS:
        for precision in ("default", "highest") if bench.gpu and method == "gradcam" else ("default",):
            bench.check_time(f"{method}, {precision}")
            count = 1 if method in PASSES else batch
            images = bench.images(count, size)
            # alike on both sides: TF32 in all products, or in none
            torch.backends.cuda.matmul.allow_tf32 = precision == "default"
            torch.backends.cudnn.allow_tf32 = precision == "default"
            pixels = torch.from_numpy(np.asarray(images).transpose(0, 3, 1, 2).copy()).to(where)
            calls: dict[str, Callable] = {"jaxcam": _ours(probe, images, method, precision)}
            # each on a network of its own, of the same weights, so that none runs another's hooks
            calls["pytorch-grad-cam"] = _pytorch_grad_cam(weights(model).to(where), pixels, method)
            if method not in PASSES:
                calls["torchcam"] = _torchcam(weights(model).to(where), pixels, method)
            times = bench.times(calls, rounds=3)
            for side, each in times.items():
                yield {
                    "model": model,
                    "dtype": "float32",
                    "arithmetic": bench.arithmetic(np.float32, precision),
                    "batch": count,
                    "what": method,
                    "side": side,
                    "torch": torch.__version__,
                    "cores": os.cpu_count(),
                    "ms": round(1e3 * float(np.median(each)), 3),
                    "times ours": round(float(np.median(each / times["jaxcam"])), 2),
                }


def _ours(probe: jaxcam.Probe, images: jax.Array, method: str, precision: str) -> Callable:
    targets = np.arange(len(images))

    def call():
        with jax.default_matmul_precision(precision):
            return np.asarray(jaxcam.explain(probe, images, targets, method=method))

    return call


def _pytorch_grad_cam(network, pixels, method: str) -> Callable:
    import pytorch_grad_cam as peer
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    cam = getattr(peer, METHODS[method])(network, [network.layer4])
    if method in PASSES:
        cam.batch_size = BATCH
    targets = [ClassifierOutputTarget(c) for c in range(len(pixels))]
    return lambda: cam(pixels, targets)


def _torchcam(network, pixels, method: str) -> Callable:
    import torch
    from torchcam import methods as peer

    cam = getattr(peer, METHODS[method])(network, target_layer="layer4")

    def call():
        scores = network(pixels)
        (maps,) = cam(list(range(len(pixels))), scores)
        large = torch.nn.functional.interpolate(maps[:, None].float(), size=pixels.shape[2:], mode="bilinear")
        return large.detach().cpu().numpy()

    return call
