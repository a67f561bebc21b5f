"""The torch side of the models' parity tests."""

from collections.abc import Callable

import _torchvision
import numpy as np
import tiny

# Our name of a method, and pytorch-grad-cam's
PEERS = {
    "gradcam": "GradCAM",
    "gradcam_elementwise": "GradCAMElementWise",
    "gradcampp": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "eigencam": "EigenCAM",
    "eigengradcam": "EigenGradCAM",
}


def shapes(name: str, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes in the state_dict of one of torchvision's models; nothing is allocated."""
    state = _abstract(name, num_classes).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def model(name: str, state: dict[str, np.ndarray], num_classes: int) -> Callable:
    """A torch function, NHWC images -> logits, with these weights, in eval mode."""
    import torch

    tensors = {key: torch.from_numpy(value) for key, value in state.items()}
    if name.startswith("cifar_resnet"):
        return lambda images: _cifar_resnet(tensors, images.permute(0, 3, 1, 2))
    network = module(name, tensors, num_classes)
    return lambda images: network(images.permute(0, 3, 1, 2))


def module(name: str, tensors: dict, num_classes: int):
    """One of torchvision's models with these weights, in eval mode."""
    network = _abstract(name, num_classes).eval()
    network.load_state_dict(tensors, assign=True)
    return network


def _abstract(name: str, num_classes: int):
    import torch

    if name in tiny.ARCHITECTURES:
        with torch.device("meta"):
            return tiny.torch_model(name, num_classes)
    with torch.device("meta"):
        # Without their own random start, which these two would spend a while on.
        options = {"init_weights": False} if name.startswith(("googlenet", "inception")) else {}
        return _torchvision.load().models.get_model(name, num_classes=num_classes, **options)


def _cifar_resnet(state, x):
    """ResNet for CIFAR with option A shortcuts, by the description of He et al., section 4.2."""
    from torch.nn import functional

    def norm(x, at):
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{at}.{name}"] for name in names))

    x = functional.relu(norm(functional.conv2d(x, state["conv1.weight"], padding=1), "bn1"))
    for block in dict.fromkeys(key.rsplit(".", 2)[0] for key in state if key.startswith("layer")):
        stride = 2 if block in ("layer2.0", "layer3.0") else 1
        y = functional.conv2d(x, state[f"{block}.conv1.weight"], stride=stride, padding=1)
        y = functional.relu(norm(y, f"{block}.bn1"))
        y = norm(functional.conv2d(y, state[f"{block}.conv2.weight"], padding=1), f"{block}.bn2")
        new = y.shape[1] - x.shape[1]
        x = functional.relu(
            y + functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, new // 2, new - new // 2))
        )
    return functional.linear(x.mean((2, 3)), state["linear.weight"], state["linear.bias"])
