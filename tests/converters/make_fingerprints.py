"""Prints the fingerprints of all architectures, the table in converters/_known.py."""

from flax import nnx

from converters._fit import shapes
from converters._known import fingerprint
from jaxcam import models

for name in models.names():
    model = nnx.eval_shape(lambda name=name: models.build(name, rngs=nnx.Rngs(0)))
    print(f'    "{name}": "{fingerprint(shapes(model))}",')
