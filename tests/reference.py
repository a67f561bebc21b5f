"""The torch side of the models' parity tests."""

from collections import OrderedDict
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
    state = abstract(name, num_classes).state_dict()
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
    network = abstract(name, num_classes).eval()
    state = OrderedDict(tensors)
    state._metadata = network.state_dict()._metadata  # MNASNet refuses a state_dict without its version
    network.load_state_dict(state, assign=True)
    return network


def abstract(name: str, num_classes: int):
    """One of torchvision's models, its parameters on the meta device: nothing is allocated."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Unallocated(TorchFunctionMode):
        """Puts parameters on the meta device, but not what RegNet and the transformers compute with."""

        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = dict(kwargs or {})
            if function is torch.empty:
                kwargs["device"] = "meta"
            return function(*args, **kwargs)

    options = {}
    if name.startswith(("googlenet", "inception")):
        # With the inputs of the published weights, without a random start, which would take a while.
        options = {"transform_input": True, "init_weights": False}
    with Unallocated():
        if name in tiny.ARCHITECTURES:
            return tiny.torch_model(name, num_classes)
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
