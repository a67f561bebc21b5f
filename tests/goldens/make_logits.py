"""Writes logits.npz: what torch computes for the synthetic weights and image of tests/synthetic.py.

    PYTHONPATH=.:tests python tests/goldens/make_logits.py [NAMES...]

With names, only those are computed and the file's other entries stay.
It needs torch and torchvision; tests/models/test_goldens.py, which reads the file, needs neither. Weights and images
come from NumPy by the rule in synthetic.py; torch runs in float64, so that the file does not depend on its build.
"""

import sys
from pathlib import Path

import numpy as np
import reference
import synthetic
from flax import nnx

from jaxcam import models

FILE = Path(__file__).with_name("logits.npz")
CLASSES = 32
LEFT_OUT = {"cifar_resnet1202"}  # with random weights the sum of its 600 blocks overflows


def main() -> None:
    import torch

    chosen = sys.argv[1:]
    logits = {}
    if chosen:
        with np.load(FILE) as file:
            logits = {name: file[name] for name in file.files}
    for name in chosen or [name for name in models.names() if name not in LEFT_OUT]:
        if name.startswith("cifar_"):
            shapes = synthetic.shapes(nnx.eval_shape(lambda n=name: models.build(n, num_classes=CLASSES)))
        else:
            shapes = reference.shapes(name, CLASSES)
        state = synthetic.weights(shapes)
        state = {
            key: value if value.dtype == np.int64 else value.astype(np.float64)
            for key, value in state.items()
        }
        with torch.inference_mode():
            images = torch.from_numpy(synthetic.image(*synthetic.size(name), batch=2).astype(np.float64))
            both = reference.model(name, state, CLASSES)(images).numpy().astype(np.float32)
        logits[name] = both[:1]
        largest, apart = np.abs(both).max(), np.ptp(both, axis=0).max()
        print(f"{name:20} largest logit {largest:.3g}, {apart / largest:.2g} of it differs with the image")
    np.savez_compressed(FILE, **logits)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
