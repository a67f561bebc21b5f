"""Prints the rows of the table in jaxcam/models/_published.py: sizes and fingerprints from the models as they are.

    PYTHONPATH=.:tests python tests/models/make_published.py

The files are those of torchvision's enums of weights, which it needs; those of the ResNets for CIFAR are kept.
"""

import math

import _torchvision
import jax
from flax import nnx

from converters._fit import shapes
from converters._known import fingerprint
from jaxcam import models
from jaxcam.models._published import LEFT_OUT, PUBLISHED, Published


def main() -> None:
    enums = _torchvision.load().models
    for name in models.names():
        model = nnx.eval_shape(lambda name=name: models.build(name))
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
        print(_row(name, Published(count, fingerprint(shapes(model)), _files(enums, name))), flush=True)


def _files(enums, name: str) -> dict[str, str]:
    if name.startswith("cifar_"):
        return dict(PUBLISHED[name].files)
    enum = enums.get_model_weights(name)
    entries = sorted(enum, key=lambda entry: entry is not enum.DEFAULT)  # the default first
    return {each.name: each.url.rsplit("/", 1)[1] for each in entries if (name, each.name) not in LEFT_OUT}


def _row(name: str, row: Published) -> str:
    """As it stands in the table: on one line, or the files below."""
    head = f'    "{name}": Published({row.parameters:_}, "{row.fingerprint}", {{'
    files = [f'"{entry}": "{file}"' for entry, file in row.files.items()]
    if len(line := f"{head}{', '.join(files)}}}),") <= 120:
        return line
    lines = files if len(", ".join(files)) > 110 else [", ".join(files)]
    return "\n".join([head, *(f"        {each}," for each in lines), "    }),"])


if __name__ == "__main__":
    main()
