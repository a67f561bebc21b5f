"""Displayed maps against those of other libraries: `python benchmarks/parity.py --data FOLDER`.

Real pictures and real weights, both sides at the same layer, class and pictures. A row is one entry of `ENTRIES`: its
name, how the maps are made here and how there. Rows are written to results/parity.jsonl as they are done, so that a run
that is killed goes on where it was; the table is results/parity.md. Score-CAM and Ablation-CAM forward every channel of
every picture and take minutes; the tests in tests/parity do with less.
"""

import argparse
import contextlib
import functools
import io
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import json_rows
import numpy as np
from PIL import Image

import converters
import jaxcam
from jaxcam import METHODS, models

RESULTS = Path(__file__).parent / "results"
sys.path.append(str(Path(__file__).parents[1] / "tests"))
# The last layer, and layers of several sizes, by their names here and in torchvision
LAYERS = {
    "squeezenet1_1": ("features", ("features.4", "features.7", "features.12")),
    "mobilenet_v2": ("features", ("features.7.conv.0", "features.14.conv.0", "features.18")),  # after a ReLU
}
PICTURES = 6


@dataclass(frozen=True)
class Sides:
    """A network of ours and torchvision's with the same weights, and pictures with their classes for both.

    Attributes:
        wide: in float64, on both sides.
    """

    name: str
    data: Path
    wide: bool

    @functools.cached_property
    def dtype(self) -> Any:
        return np.float64 if self.wide else np.float32

    @functools.cached_property
    def model(self) -> Any:
        return converters.load(self.name, self._weights, dtype=self.dtype)

    @functools.cached_property
    def probe(self) -> jaxcam.Probe:
        return jaxcam.probe(self.model, LAYERS[self.name][0])

    @functools.cached_property
    def several(self) -> jaxcam.Probe:
        return jaxcam.probe(self.model, LAYERS[self.name][1])

    @functools.cached_property
    def peer(self) -> Any:
        """torchvision's, without operations in place: they change activations that others still look at."""
        import torch
        from _torchvision import load

        peer = getattr(load().models, self.name)(weights=None).eval()
        peer.load_state_dict(torch.load(self._weights, weights_only=True))
        for module in peer.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        return peer.double() if self.wide else peer

    @functools.cached_property
    def peers_layers(self) -> list:
        return [self.peer.get_submodule(name) for name in LAYERS[self.name][1]]

    @functools.cached_property
    def files(self) -> list[Path]:
        return sorted((self.data / "images").iterdir())[:: 100 // PICTURES][:PICTURES]

    @functools.cached_property
    def pictures(self) -> np.ndarray:
        preprocess = models.preprocess(self.name)
        return np.stack([preprocess(Image.open(file)) for file in self.files]).astype(self.dtype)

    @functools.cached_property
    def classes(self) -> np.ndarray:
        return np.array([int(file.name[:4]) for file in self.files])

    @functools.cached_property
    def tensor(self) -> Any:
        import torch

        return torch.from_numpy(np.ascontiguousarray(self.pictures.transpose(0, 3, 1, 2)))

    @property
    def size(self) -> tuple[int, int]:
        return self.pictures.shape[1], self.pictures.shape[2]

    @property
    def _weights(self) -> Path:
        return self.data / "weights" / f"{self.name}.pth"


Maps = Callable[[Sides], np.ndarray]


class Entry(NamedTuple):
    """One row for each network.

    Attributes:
        name: of the method, with its options where they are not the defaults.
        peer: the library, and what it calls the method.
        ours, theirs: displayed maps `(B, ..., H, W)`, in [0, 1].
        turned: ours of the other sign, where the peer's sign is arbitrary: the nearer of the two counts.
        wide: in float64, where float32 would compare rounding at the kinks of ReLUs.
        note: what a reader of the table should know.
    """

    name: str
    peer: str
    ours: Maps
    theirs: Maps
    turned: Maps | None = None
    wide: bool = False
    note: str = ""


# How maps are made here


def shown(method: Any, *, several: bool = False, **options: Any) -> Maps:
    def maps(sides: Sides) -> np.ndarray:
        probe = sides.several if several else sides.probe
        return np.asarray(jaxcam.explain(probe, sides.pictures, sides.classes, method=method, **options))

    return maps


def turned(method: Any) -> Maps:
    """The displayed negative."""
    raw = shown(method, raw=True)
    return lambda sides: np.asarray(jaxcam.display(-raw(sides), size=sides.size))


def at_target(method: Any, target: Callable) -> Maps:
    """Maps of a target made for each picture's class."""

    def maps(sides: Sides) -> np.ndarray:
        targets = [target(int(each)) for each in sides.classes]
        return np.asarray(jaxcam.explain(sides.probe, sides.pictures, targets, method=method))

    return maps


# How they are made by the peers


def pgc(method: str, *, several: bool = False, target: str = "ClassifierOutputTarget", **call: Any) -> Maps:
    """pytorch-grad-cam's."""

    def maps(sides: Sides) -> np.ndarray:
        import pytorch_grad_cam
        from pytorch_grad_cam import kpca_cam, refine_cam, seg_eigen_cam
        from pytorch_grad_cam.utils import model_targets

        found = getattr(pytorch_grad_cam, method, None)
        if not callable(found):
            found = next(
                getattr(each, method)
                for each in (kpca_cam, refine_cam, seg_eigen_cam)
                if hasattr(each, method)
            )
        layers = sides.peers_layers if several else [sides.peer.features]
        targets = [getattr(model_targets, target)(int(each)) for each in sides.classes]
        cam = found(sides.peer, layers)
        pairs = zip(sides.tensor, targets, strict=True)  # all at once, ScoreCAM takes gigabytes
        return np.concatenate([cam(image[None], [score], **call) for image, score in pairs])

    return maps


def pgc_finer(sides: Sides) -> np.ndarray:
    """Finer-CAM with TorchCAM's target, which is the default here, in pytorch-grad-cam's Grad-CAM."""
    import torch
    from pytorch_grad_cam import GradCAM

    def target(index: int):
        def score(output):
            apart = (output - output[index]).abs().detach()
            apart[index] = torch.inf
            return output[index] - 0.6 * output[apart.argsort()[:3]].mean()

        return score

    return GradCAM(sides.peer, [sides.peer.features])(sides.tensor, [target(int(c)) for c in sides.classes])


def torchcam_max(method: str) -> Maps:
    """TorchCAM's fusion of several layers, for one picture after the other."""

    def maps(sides: Sides) -> np.ndarray:
        from torchcam import methods

        rows = []
        with getattr(methods, method)(sides.peer, target_layer=sides.peers_layers) as extractor:
            for image, index in zip(sides.tensor, sides.classes, strict=True):
                output = sides.peer(image[None].requires_grad_())
                cams = extractor(int(index), output)
                rows.append(extractor.fuse_cams(cams, sides.size)[0].detach().numpy())
        return np.stack(rows)

    return maps


def captum_layer(sides: Sides) -> np.ndarray:
    """captum's raw maps, displayed as ours are."""
    from captum.attr import LayerGradCam

    raw = LayerGradCam(sides.peer, sides.peer.features).attribute(sides.tensor, target=sides.classes.tolist())
    return np.asarray(jaxcam.display(raw[:, 0].detach().numpy(), size=sides.size))


CONCEPTS = 4


def dff(sides: Sides) -> np.ndarray:
    """From the peer's start, which scikit-learn draws; scaled before they are enlarged, as the peer does."""
    _, activations = jax.jit(jax.vmap(lambda p, x: p(x), (None, 0)))(sides.probe, sides.pictures)
    B, h, w, K = activations.shape
    rows = np.asarray(activations).reshape(-1, K)
    lowest = rows.min(axis=0)
    size, draw = np.sqrt((rows - lowest).mean() / CONCEPTS), np.random.RandomState(0)
    maps = abs(size * draw.standard_normal((CONCEPTS, len(rows)))).reshape(CONCEPTS, B, h, w).swapaxes(0, 1)
    concepts = abs(size * draw.standard_normal((K, CONCEPTS))).T + lowest
    found = jaxcam.dff(sides.probe, sides.pictures, start=(maps, concepts)).maps
    return np.asarray(jaxcam.resize(jaxcam.normalise(found), sides.size))


def pgc_dff(sides: Sides) -> np.ndarray:
    from pytorch_grad_cam.feature_factorization.deep_feature_factorization import DeepFeatureFactorization

    _, maps = DeepFeatureFactorization(sides.peer, sides.peer.features)(sides.tensor, CONCEPTS)
    return np.stack(maps)


PGC, TORCHCAM, CAPTUM = "pytorch-grad-cam", "TorchCAM", "captum"
SIGN = "up to sign"
ENTRIES = [
    # gradient
    Entry("gradcam", f"{PGC} GradCAM", shown("gradcam"), pgc("GradCAM")),
    Entry("gradcam_elementwise", f"{PGC} GradCAMElementWise", shown("gradcam_elementwise"), pgc("GradCAMElementWise")),
    Entry("gradcampp", f"{PGC} GradCAMPlusPlus", shown("gradcampp"), pgc("GradCAMPlusPlus")),
    Entry("xgradcam", f"{PGC} XGradCAM", shown("xgradcam"), pgc("XGradCAM")),
    Entry("layercam", f"{PGC} LayerCAM", shown("layercam"), pgc("LayerCAM")),
    Entry("hirescam", f"{PGC} HiResCAM", shown("hirescam"), pgc("HiResCAM")),
    Entry("eigengradcam", f"{PGC} EigenGradCAM", shown("eigengradcam"), pgc("EigenGradCAM"), turned("eigengradcam"), note=SIGN),
    Entry("segeigencam", f"{PGC} SegEigenCAM", shown("segeigencam"), pgc("SegEigenCAM")),
    Entry("shapleycam", f"{PGC} ShapleyCAM", shown("shapleycam"), pgc("ShapleyCAM")),
    Entry("refinecam", f"{PGC} RefineCAM", shown("refinecam", several=True), pgc("RefineCAM", several=True), note="three layers"),
    Entry("gradcam", f"{CAPTUM} LayerGradCam", shown("gradcam"), captum_layer, note="raw maps, displayed alike"),
    # masks
    Entry("scorecam", f"{PGC} ScoreCAM", shown("scorecam"), pgc("ScoreCAM"), note="every channel"),
    # heads only
    Entry("ablationcam", f"{PGC} AblationCAM", shown("ablationcam"), pgc("AblationCAM"), note="every channel"),
    # no class
    Entry("eigencam", f"{PGC} EigenCAM", shown("eigencam"), pgc("EigenCAM"), turned("eigencam"), note=SIGN),
    Entry("fem", f"{PGC} FEM", shown("fem"), pgc("FEM")),
    Entry("kpcacam", f"{PGC} KPCA_CAM", shown("kpcacam"), pgc("KPCA_CAM"), turned("kpcacam"), note=SIGN),
    Entry("dff", f"{PGC} DeepFeatureFactorization", dff, pgc_dff, wide=True, note=f"{CONCEPTS} concepts, the same start"),
    # baselines
    # targets, fuses and transforms
    Entry("gradcam, target=finer(c)", f"{PGC} GradCAM", at_target("gradcam", jaxcam.finer), pgc_finer, note="TorchCAM's target"),
    Entry("gradcam, fuse=principal_component", f"{PGC} GradCAM, eigen_smooth", shown("gradcam", fuse=jaxcam.principal_component), pgc("GradCAM", eigen_smooth=True), turned(functools.partial(METHODS["gradcam"], fuse=jaxcam.principal_component)), note=SIGN),
    Entry("augmented(gradcam)", f"{PGC} GradCAM, aug_smooth", shown(jaxcam.augmented(jaxcam.gradcam)), lambda sides: np.asarray(jaxcam.normalise(pgc("GradCAM", aug_smooth=True)(sides))), note="the peer's mean scaled to [0, 1]"),
    Entry("over_layers(gradcam)", f"{PGC} GradCAM", shown(jaxcam.over_layers(jaxcam.gradcam), several=True), pgc("GradCAM", several=True), wide=True, note="three layers"),
    Entry("over_layers(gradcam, max)", f"{TORCHCAM} GradCAM, fuse_cams", shown(jaxcam.over_layers(jaxcam.gradcam, "max"), several=True), lambda sides: np.asarray(jaxcam.normalise(torchcam_max("GradCAM")(sides))), wide=True, note="three layers"),
]  # fmt: skip


def measured(entry: Entry, sides: Sides) -> dict[str, Any]:
    """Largest difference of the displayed maps, and the seconds that each side took, compiling included."""
    assert sides.peer is not None  # torchvision is loaded before what imports it
    began = time.perf_counter()
    ours = [entry.ours(sides), *([entry.turned(sides)] if entry.turned else [])]
    middle = time.perf_counter()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # of bars
        warnings.simplefilter("ignore")
        theirs = entry.theirs(sides)
    ended = time.perf_counter()
    apart = np.min([np.abs(each - theirs).max(axis=(-2, -1)) for each in ours], axis=0)
    return {
        "maps": int(apart.size),
        "difference": float(apart.max()),
        "ours_s": round(middle - began, 1),
        "theirs_s": round(ended - middle, 1),
    }


def table(rows: list[dict]):
    from importlib.metadata import version

    import captum
    import pytorch_grad_cam  # noqa: F401

    yield "# The same maps as other libraries"
    yield ""
    yield (
        f"`python benchmarks/parity.py --data FOLDER`: the largest difference of displayed maps, which lie in [0, 1], over "
        f"{PICTURES} pictures of ImageNet, with real weights of two networks, at their last layer (`features`) but where "
        f"several are named. grad-cam {version('grad-cam')}, torchcam {version('torchcam')}, captum {captum.__version__}, "
        f"jax {jax.__version__}; float32, or float64 on both sides where it is said, where float32 would compare what "
        "rounding does at the kinks of ReLUs or over many iterations."
    )
    yield ""
    yield f"| method | peer | {' | '.join(LAYERS)} | |"
    yield f"|---|---|{'---:|' * len(LAYERS)}---|"
    found = {(row["name"], row["peer"], row["network"]): row["difference"] for row in rows}
    for entry in ENTRIES:
        key = entry.name, entry.peer
        cells = [f"{found[*key, name]:.0e}" if (*key, name) in found else "–" for name in LAYERS]
        if set(cells) != {"–"}:
            note = ", ".join(filter(None, [entry.note, "float64" if entry.wide else ""]))
            yield f"| `{entry.name}` | {entry.peer} | {' | '.join(cells)} | {note} |"
    yield ""
    yield (
        "The tests in `tests/parity` compare the rest on pictures of the same set: `sscam` and `iscam` (TorchCAM, given the "
        "same draws), `occlusion`, `saliency`, `integrated_gradients`, `guided_backpropagation`, `guided_gradcam` and `liftcam` "
        "(captum), `fullgrad`, FinerCAM and guided backpropagation (pytorch-grad-cam)."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of weights/ and images/")
    parser.add_argument("--only", nargs="*", default=[], help="entries whose name begins with one of these")
    options = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    store = RESULTS / "parity.jsonl"
    for wide in (False, True):
        jax.config.update("jax_enable_x64", wide)
        for name in LAYERS:
            sides = Sides(name, options.data, wide)
            for entry in (each for each in ENTRIES if each.wide == wide):
                about = {"name": entry.name, "peer": entry.peer, "network": name}
                known = [{key: row.get(key) for key in about} for row in json_rows.rows(store)]
                if about in known or (options.only and not entry.name.startswith(tuple(options.only))):
                    continue
                if entry.name.isidentifier() and not hasattr(jaxcam, entry.name):
                    continue  # not in this version
                row = measured(entry, sides)
                json_rows.append(store, about, [""], [row])
                print(name, entry.name, entry.peer, row, flush=True)
                (RESULTS / "parity.md").write_text("\n".join(table(json_rows.rows(store))) + "\n")


if __name__ == "__main__":
    main()
