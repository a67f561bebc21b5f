"""results/papers.csv -> results/papers.md: the tables, and for each paper its claim, our figure, held or not."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

FAITH = ("average_drop", "average_increase", "insertion", "deletion", "complexity")
POINT = ("pointing_game", "energy_pointing_game")
CONCEPTOR = ("gradcam", "gradcampp", "layercam", "xgradcam", "hirescam", "scorecam", "abscam")


class Results:
    """Per-picture values by (network, set, method) and metric."""

    def __init__(self, path: Path):
        self.values = defaultdict(lambda: defaultdict(list))
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name in (*FAITH, *POINT, "ms"):
                    if row[name]:
                        self.values[row["network"], row["set"], row["method"]][name].append(float(row[name]))
        self.networks = list(dict.fromkeys(network for network, *_ in self.values))

    def methods(self, network: str) -> list[str]:
        return [method for at, kind, method in self.values if at == network and kind == "imagenet"]

    def get(self, network: str, method: str, name: str) -> np.ndarray:
        kind = "boxes" if name in POINT else "imagenet"
        if name == "gain":  # Insertion - Deletion, in points
            return 100 * (self.get(network, method, "insertion") - self.get(network, method, "deletion"))
        scale = 100 if name in ("complexity", *POINT, "insertion", "deletion") else 1
        return scale * np.array(self.values[network, kind, method].get(name, []))

    def mean(self, network: str, method: str, name: str) -> float:
        values = self.get(network, method, name)
        return float(values.mean()) if values.size else float("nan")

    def difference(self, network: str, one: str, other: str, name: str) -> tuple[float, float]:
        """Mean over pictures of one minus other, and its standard error."""
        apart = self.get(network, one, name) - self.get(network, other, name)
        return float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(apart.size))


def table(results: Results, network: str):
    yield f"### {network}"
    yield ""
    yield "| method | Drop ↓ | Increase ↑ | Ins ↑ | Del ↓ | Ins − Del ↑ | complexity | pointing ↑ | energy ↑ | ms |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    names = ("average_drop", "average_increase", "insertion", "deletion", "gain", "complexity", *POINT)
    for method in results.methods(network):
        cells = [results.mean(network, method, name) for name in names]
        ms = results.values[network, "imagenet", method]["ms"]
        texts = [f"{cell:.1f}" for cell in cells] + [f"{ms[0]:.0f}" if ms and ms[0] else "–"]
        yield f"| {method} | " + " | ".join(texts) + " |"
    yield ""


def verdict(held: bool) -> str:
    return "held" if held else "**not held**"


def conceptors(results: Results):
    yield "## Conceptor-CAM"
    yield ""
    yield (
        "Claim (Qian et al. 2022): on top of any CAM method, on ILSVRC2012, Average Drop and Average Increase improve "
        "by half or more (43–73 % in Increase, 88–168 % in Drop, relative to the state of the art). Our bar: Average "
        "Drop at least 47 % lower (relative), Average Increase higher, Insertion − Deletion at most 1 point lower, "
        "pointing game at most 2 points lower. ± is the standard error of the paired difference."
    )
    yield ""
    yield "| network | base | Drop, relative | Increase | Ins − Del | pointing | |"
    yield "|---|---|---:|---:|---:|---:|---|"
    for network in results.networks:
        for base in CONCEPTOR:
            one = f"conceptorcam over {base}"
            if (network, "imagenet", one) not in results.values:
                continue
            drop = (
                results.mean(network, one, "average_drop") / results.mean(network, base, "average_drop") - 1
            )
            rise, _ = results.difference(network, one, base, "average_increase")
            gain, error = results.difference(network, one, base, "gain")
            point = results.mean(network, one, "pointing_game") - results.mean(network, base, "pointing_game")
            failed = [
                name
                for name, good in (
                    ("Drop", drop <= -0.47),
                    ("Increase", rise > 0),
                    ("Ins − Del", gain >= -1),
                    ("pointing", point >= -2),
                )
                if not good
            ]
            yield (
                f"| {network} | {base} | {100 * drop:+.0f} % | {rise:+.1f} | {gain:+.1f} ± {error:.1f} | {point:+.1f} | "
                f"{'held' if not failed else '**not held**: ' + ', '.join(failed)} |"
            )
    yield ""


def clusters(results: Results):
    yield "## Cluster-CAM"
    yield ""
    yield (
        "Claim (Feng et al. 2023): as good as gradient-free CAMs for far fewer forward passes. Our bar, against Score-CAM: "
        "Insertion − Deletion no lower (0.2 points of tolerance), Average Drop no higher, at most 1/16 of the passes, at "
        'least 8 times faster. "clustercam hard" is base minus scissors on raw channels, the literal reading.'
    )
    yield ""
    yield "| network | method | Ins − Del, minus Score-CAM's | Drop, minus Score-CAM's | times faster | |"
    yield "|---|---|---:|---:|---:|---|"
    for network in results.networks:
        for method in ("clustercam", "clustercam hard"):
            if (network, "imagenet", method) not in results.values or (
                network,
                "imagenet",
                "scorecam",
            ) not in results.values:
                continue
            gain, error = results.difference(network, method, "scorecam", "gain")
            drop, drop_error = results.difference(network, method, "scorecam", "average_drop")
            fast = results.mean(network, "scorecam", "ms") / results.mean(network, method, "ms")
            held = gain >= -0.2 and drop <= 0 and fast >= 8
            yield (
                f"| {network} | {method} | {gain:+.1f} ± {error:.1f} | {drop:+.1f} ± {drop_error:.1f} | {fast:.0f} | "
                f"{verdict(held)} |"
            )
    yield ""


def absolutes(results: Results):
    yield "## Abs-CAM"
    yield ""
    yield (
        "Claim (Zeng et al. 2022): better Deletion, Insertion and pointing than earlier methods. Against Grad-CAM, paired, "
        "in points; positive Insertion and pointing are better, negative Deletion is better."
    )
    yield ""
    yield "| network | phase | Insertion | Deletion | pointing | |"
    yield "|---|---|---:|---:|---:|---|"
    for network in results.networks:
        for label, phase in (("abscam phase 1", 1), ("abscam", 2)):
            if (network, "imagenet", label) not in results.values:
                continue
            ins, ins_error = results.difference(network, label, "gradcam", "insertion")
            gone, gone_error = results.difference(network, label, "gradcam", "deletion")
            point, point_error = results.difference(network, label, "gradcam", "pointing_game")
            yield (
                f"| {network} | {phase} | {ins:+.1f} ± {ins_error:.1f} | {gone:+.1f} ± {gone_error:.1f} | "
                f"{point:+.1f} ± {point_error:.1f} | {verdict(ins > 0 and gone < 0 and point >= 0)} |"
            )
    yield ""


def hires(results: Results):
    yield "## HiResCAM"
    yield ""
    yield (
        "Claim (Draelos & Carin 2020): the map adds up to the score where one fully connected layer follows, and equals "
        "Grad-CAM where that layer follows a global average. Held: both are tests, to 1e-10 in float64. On MobileNetV2 the "
        "two rows below are therefore one; on SqueezeNet, whose head is a convolution and a ReLU, they differ."
    )
    yield ""
    yield "| network | Ins − Del, minus Grad-CAM's | pointing, minus Grad-CAM's |"
    yield "|---|---:|---:|"
    for network in results.networks:
        gain, error = results.difference(network, "hirescam", "gradcam", "gain")
        point, point_error = results.difference(network, "hirescam", "gradcam", "pointing_game")
        yield f"| {network} | {gain:+.1f} ± {error:.1f} | {point:+.1f} ± {point_error:.1f} |"
    yield ""


def report(rows: Path) -> None:
    results = Results(rows)
    lines = [
        "# The four papers, measured",
        "",
        "`python benchmarks/papers.py --data FOLDER`, then `--report`. Faithfulness on 100 ImageNet pictures, each "
        "network's own most likely class; localisation on 80 pictures with boxes, the labelled class. Drop, Increase in "
        "percent; the rest in points (hundredths). Insertion and Deletion in 28 steps. A map of ones has no drop: read "
        "Drop beside Ins − Del and complexity, and against the floors.",
        "",
        *(line for part in (hires, absolutes, clusters, conceptors) for line in part(results)),
        "## All methods",
        "",
        *(line for network in results.networks for line in table(results, network)),
    ]
    rows.with_suffix(".md").write_text("\n".join(lines))
    print(f"written to {rows.with_suffix('.md')}")
