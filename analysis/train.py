"""`python -m analysis.train`: makes the weights in `analysis/weights` and prints its figures as JSON lines."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path


def main() -> None:
    """Fine-tunes; see docs/model.md for what comes out."""
    parser = argparse.ArgumentParser(prog="python -m analysis.train", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TRAINING_DATA", "../shared/data")))
    parser.add_argument("--checkpoint", type=Path, default=Path(os.environ.get("DATA_DIR", "data")) / "checkpoint.pt")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--hold", type=float)
    parser.add_argument("--bfloat16", action="store_true", help="faster on processors that have it")
    options = parser.parse_args()

    from analysis.training.finetune import Recipe, fine_tune

    recipe = replace(Recipe(bfloat16=options.bfloat16), **{
        name: value for name in ("epochs", "minutes", "hold") if (value := getattr(options, name)) is not None
    })
    options.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    fine_tune(options.data, options.checkpoint, recipe)


if __name__ == "__main__":
    main()
