"""Damaged and hostile files, and what opening one may do: for `fuzz.py`. A kind a file."""

from . import checkpoints, explainers, manifests, pictures, stores

KINDS = {
    "checkpoints": checkpoints.KIND,
    "pictures": pictures.KIND,
    "manifests": manifests.KIND,
    "explainers": explainers.KIND,
    "stores": stores.KIND,
}
