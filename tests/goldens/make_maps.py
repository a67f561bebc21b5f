"""Writes maps.npz: what pytorch-grad-cam displays for the synthetic weights and images of tests/synthetic.py.

    PYTHONPATH=.:tests python tests/goldens/make_maps.py

It needs torch, torchvision and pytorch-grad-cam; tests/methods/test_golden_maps.py, which reads the file, needs none.
The layer is one whose activations have both signs, where all methods differ; torch runs in float64.
"""

import warnings
from pathlib import Path

import numpy as np
import reference
import synthetic
from reference import PEERS

FILE = Path(__file__).with_name("maps.npz")
MODEL, LAYER, CLASSES, SIZE = "resnet18", "layer3.1.conv2", 8, (97, 113)
TARGETS = [1, 6, 3]


def main() -> None:
    import torch

    state = synthetic.weights(reference.shapes(MODEL, CLASSES))
    tensors = {key: torch.from_numpy(value).double() for key, value in state.items()}
    network = reference.module(MODEL, tensors, CLASSES)
    images = torch.from_numpy(synthetic.image(*SIZE, batch=len(TARGETS))).double().permute(0, 3, 1, 2)
    warnings.simplefilter("ignore")
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    maps = {}
    for name, peer in PEERS.items():
        with getattr(pytorch_grad_cam, peer)(network, [network.get_submodule(LAYER)]) as cam:
            maps[name] = cam(images, [ClassifierOutputTarget(c) for c in TARGETS])
        print(f"{name:20} mean {maps[name].mean(axis=(1, 2))}")
    # every fourth pixel is enough to tell a map by
    np.savez_compressed(FILE, **{name: value[:, ::4, ::4].astype(np.float32) for name, value in maps.items()})
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
