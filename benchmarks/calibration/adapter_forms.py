"""Part forms: random numbers in a form's own trained parameters, judged by that form's nulls.

An adapter of each form is made with PEFT, every trainable number of it moved by Gaussian noise, and delta_kl
compared with 20 nulls of its own. What the noise of a form can do and its nulls cannot is a false effect.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the repository, for tests.support

from markdown_cells import exact, table
from null_families import judged
from null_pools import say
from setting import Setting

from tests.support.peft_adapters import CONVERTED_LORA, FULL_WEIGHTS, PLAIN_LORA, save_adapter

DRAWS = 20
SEEDS = 8
FORMS = {
    "LoRA": (PLAIN_LORA["plain"], (0.02, 0.05)),
    "LoRA on embeddings": (PLAIN_LORA["embedding"], (0.02, 0.05)),
    "PiSSA": (CONVERTED_LORA["pissa"], (0.02, 0.05)),
    "OLoRA": (CONVERTED_LORA["olora"], (0.02, 0.05)),
    "a trained head": (FULL_WEIGHTS["saved_head"], (0.02, 0.05)),
    "trained norms": (FULL_WEIGHTS["ln_tuning"], (0.1, 0.3)),
    "DoRA": (FULL_WEIGHTS["dora"], (0.02, 0.05, 0.2)),
    "IA3": (FULL_WEIGHTS["ia3"], (0.2, 0.5)),
}

Figures = dict[str, Any]


def measure(setting: Setting) -> Figures:
    """Ratio, z and p by form and size of the noise."""
    raw: Figures = {"draws": DRAWS, "forms": []}
    for form, (config, sizes) in FORMS.items():
        for size in sizes[: setting.scaled(len(sizes), 1)]:
            found = [_judged(setting, config, size, seed) for seed in range(setting.scaled(SEEDS, 1))]
            raw["forms"].append({"form": form, "size": size, "found": found})
            say(f"forms: {form}, noise of {size:g}")
    return raw


def tables(raw: Figures) -> str:
    """One row per form and size."""
    rows = []
    for one in raw["forms"]:
        found = one["found"]
        ratios = sorted(f["ratio"] for f in found)
        z = sorted(f["z"] for f in found)
        beyond = sum(value >= 3 for value in z)
        rows.append(
            (
                one["form"],
                f"{one['size']:g}",
                f"{ratios[0]:.2f} – {ratios[-1]:.2f}",
                f"{z[0]:+.1f} – {z[-1]:+.1f}",
                exact(beyond, len(z)),
                "**missed**" if beyond else "met",
            )
        )
    head = ("form", "sd of the noise", "JS ÷ its nulls", "z", "z ≥ 3 (95 %)", "none")
    return "\n".join(
        [f"### Noise in a form's own parameters, {raw['draws']} norm_matched nulls each\n", table(head, rows)]
    )


def _judged(setting: Setting, config: Any, size: float, seed: int) -> Figures:
    folder = save_adapter(setting.work / "form", config, size=size, seed=seed)
    return judged(setting, folder, DRAWS, ["norm_matched"])["norm_matched"]
