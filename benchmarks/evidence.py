"""Evidence of base methods, those that score every channel from scores that were kept."""

import functools

import jax.numpy as jnp

import jaxcam
from jaxcam import METHODS
from jaxcam._dtypes import widen
from jaxcam._masks import varies
from jaxcam.methods._scorecam import _softmax

BASES = {
    "gradcam": ("gradcam", {}),
    "gradcampp": ("gradcampp", {}),
    "layercam": ("layercam", {}),
    "xgradcam": ("xgradcam", {}),
    "hirescam": ("hirescam", {}),
    "abscam phase 1": ("abscam", {"phase": 1}),
    "scorecam": ("scorecam", {"align_corners": False}),
    "abscam": ("abscam", {}),
}
VARIANTS = {  # of those that need a score of each channel
    "scorecam probability": ("scorecam", {"weights": "probability", "align_corners": False}),
    "abscam logit": ("abscam", {"score": "logit"}),
    "abscam normalised": ("abscam", {"merge": "normalised"}),
    "abscam normalised logit": ("abscam", {"merge": "normalised", "score": "logit"}),
}
SCORED = ("scorecam", "abscam", *VARIANTS)


def evidence_by(label: str, probe, image, target, scores=None):
    """Evidence `(h, w, K)` of a method of BASES or VARIANTS; those of SCORED are made from the scores `(K, 2)`, the
    target's probability and logit behind each channel's mask."""
    name, options = (BASES | VARIANTS)[label]
    if label not in SCORED:
        return evidence_of(functools.partial(METHODS[name], **options), probe, image, target)
    look = probe.look(image, target)
    A, probability, logit = look.activation, scores[:, 0], scores[:, 1]
    channels = jnp.moveaxis(A, -1, 0)
    valid = varies(channels)
    if name == "scorecam":
        return (_softmax(logit, valid) if label == "scorecam" else jnp.where(valid, probability, 0)) * A
    w = jnp.mean(jnp.abs(look.gradient), axis=(0, 1))
    y = jnp.where(valid & (w > 0), logit if options.get("score") == "logit" else probability, 0)
    if options.get("merge") == "normalised":
        return y * jnp.moveaxis(jaxcam.normalise(channels), 0, -1)
    return y * w * A


def evidence_of(base, probe, image, target):
    """The evidence `(h, w, K)` that a method would fuse."""
    seen = []

    def keep(evidence):
        seen.append(evidence)
        return jaxcam.channel_sum(evidence)

    base(probe, image, target, fuse=keep)
    return widen(seen[-1])
