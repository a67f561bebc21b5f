"""Tells which architecture a checkpoint is of.

To build every model for that, even without its weights, takes many seconds, so each has its fingerprint here.
After a change in jaxcam.models, `python -m converters._known` prints the lines anew.
"""

import hashlib
from collections.abc import Mapping

_FINGERPRINTS = {
    "alexnet": "fee188a4635dc950",
    "vgg11": "d4b683e9f16c808c",
    "vgg11_bn": "9421d804a6758bf7",
    "vgg13": "4f2724f63dda2caf",
    "vgg13_bn": "e37edb4ab61a1cae",
    "vgg16": "2f21e35964e82d79",
    "vgg16_bn": "81141eb146708fef",
    "vgg19": "6c9eebcc0138d060",
    "vgg19_bn": "bca12af628400c5d",
    "resnet18": "0135712891a69745",
    "resnet34": "2cd746d0016313c5",
    "resnet50": "d0881f3d83292e5a",
    "resnet101": "b7a6d478dfd24935",
    "resnet152": "4a514de8611f20e4",
    "resnext50_32x4d": "85f9c4616d9f13cf",
    "resnext101_32x8d": "f7922d9ae7090da8",
    "resnext101_64x4d": "8f9db516719204bf",
    "wide_resnet50_2": "7dea1a58e795bc5f",
    "wide_resnet101_2": "b09ca50452e136ef",
    "squeezenet1_0": "275dcb94a55501e6",
    "squeezenet1_1": "fac4bbaf3c14c2c9",
    "mobilenet_v2": "26cfe88eb73ce7a0",
    "vit_b_16": "97948e77cecf34a5",
    "vit_b_32": "b88a90bc4fee30c0",
    "vit_l_16": "c5ed4559eae8fe4c",
    "vit_l_32": "0961111d241deb02",
    "vit_h_14": "bf3f65d9c913ee3d",
    "swin_t": "75a0d2faeffb6f54",
    "swin_s": "8cf596220f054008",
    "swin_b": "f35def2574885e6f",
    "swin_v2_t": "c6fe9ab815149ff2",
    "swin_v2_s": "76d843e55a44010a",
    "swin_v2_b": "b6617efcabbe8261",
    "maxvit_t": "b3248a36f4a0ea6b",
    "cifar_resnet20": "b078d221c76e6b95",
    "cifar_resnet32": "cdabe970b2e256da",
    "cifar_resnet44": "dcb4ce54a7ff5cba",
    "cifar_resnet56": "29022de099494b2d",
    "cifar_resnet110": "304f8fe4a004bd84",
    "cifar_resnet1202": "b4be83454fb5ea9b",
}


def fingerprint(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """A hash of names and shapes without the first axis, which in the head is the number of classes."""
    lines = sorted(f"{key} {shape[1:]}" for key, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def alike(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The architectures with these names and shapes, whatever their number of classes."""
    wanted = fingerprint(shapes)
    return [name for name, known in _FINGERPRINTS.items() if known == wanted]


def main() -> None:
    from flax import nnx

    from converters._fit import shapes
    from jaxcam import models

    for name in models.names():
        model = nnx.eval_shape(lambda name=name: models.build(name, rngs=nnx.Rngs(0)))
        print(f'    "{name}": "{fingerprint(shapes(model))}",')


if __name__ == "__main__":
    main()
