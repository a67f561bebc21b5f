"""timm's tags beside timm: `python benchmarks/tags.py [TAGS...]`.

Random weights and statistics, float32, two pictures. Each network is made by timm, saved as the Hub has it (safetensors
and config.json) and loaded by `converters.load`; the error is the largest difference of outputs over the largest output.
The page has every case of tests/timm_tags.py, and every name of timm's that is not served with the feature that it
needs. It needs timm, torch and torchvision.
"""

import gc
import sys
from pathlib import Path

import jax

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import timm_tags

from jaxcam.models._timm import table, timm_architecture

RESULTS = Path(__file__).parent / "results"


def main():
    chosen = sys.argv[1:]
    cases = [case for case in timm_tags.CASES if not chosen or case.tag in chosen]
    lines = []
    with jax.default_matmul_precision("highest"):
        for case in cases:
            error, difference = timm_tags.error(case)
            assert difference > 1e-3, case  # the two pictures can be told apart
            lines.append(f"| `{case.tag}` | {case.family} | {case.size} | {error:.1e} |")
            print(lines[-1], flush=True)
            jax.clear_caches()
            gc.collect()
    if not chosen:
        (RESULTS / "timm_tags.md").write_text(page(lines))


def page(lines: list[str]) -> str:
    served, refused = [], {}
    for name in table():
        try:
            timm_architecture(name)
            served.append(name)
        except ValueError as error:
            refused.setdefault(str(error).rpartition(" has no ")[2], []).append(name)
    version = timm_tags.load().__version__
    return "\n".join(
        [
            "# timm's tags",
            "",
            f"`python benchmarks/tags.py`, timm {version}, float32 on a CPU: random weights, saved by timm, loaded by",
            "`converters.load`. Error: the largest difference of outputs over the largest output, of two pictures.",
            "",
            "| tag | family | picture | error |",
            "|---|---|---:|---:|",
            *lines,
            "",
            f"Of the {len(table())} names of these families {len(served)} are served. The others need what is not built:",
            "",
            "| feature | names |",
            "|---|---|",
            *(
                f"| {feature} | {', '.join(f'`{name}`' for name in names)} |"
                for feature, names in refused.items()
            ),
            "",
        ]
    )


if __name__ == "__main__":
    main()
