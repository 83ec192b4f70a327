"""`python -m analysis.train`: makes the files in `analysis/weights` and prints its figures as JSON lines."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from analysis.base import AnalysisError
from analysis.encoder import WEIGHTS

MODEL = "samtal 4"
"""Name and version of the weights that a run writes; count it up when they change."""

ENCODERS = ("english", "multilingual")


def main() -> int:
    """Fine-tunes, exports, calibrates and measures; see docs/model.md for what came out. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m analysis.train", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("TRAINING_DATA", "../shared/data")),
        help="folder of the research sets (TRAINING_DATA, else ../shared/data)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path(os.environ.get("DATA_DIR", "data")) / "training",
        help="where the float32 checkpoints and graphs stay (DATA_DIR/training)",
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--only", choices=ENCODERS, help="one of the two encoders, and no figures of both together")
    parser.add_argument("--epochs", type=float, help="passes over the training texts")
    parser.add_argument("--float32", action="store_true", help="train without bfloat16 (slower, any processor)")
    parser.add_argument("--keep-checkpoint", action="store_true", help="export and measure what is in --work")
    options = parser.parse_args()
    try:
        for encoder in (options.only,) if options.only else ENCODERS:
            train(encoder, options)
        if not options.only:
            measure_both(options)
    except ModuleNotFoundError as error:
        print(f"training needs {error.name}: pip install -r requirements-train.txt", file=sys.stderr)
        return 2
    except AnalysisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def train(encoder: str, options: argparse.Namespace) -> None:
    """One whole run for one of ENCODERS. Prints a JSON line a step."""
    from analysis.encoder import Encoder
    from analysis.training import calibrate, export, material
    from analysis.training.finetune import Recipe, fine_tune, say
    from analysis.training.measure import topic_figures

    work, weights = options.work / encoder, options.weights / encoder
    work.mkdir(parents=True, exist_ok=True)
    weights.mkdir(parents=True, exist_ok=True)
    checkpoint, pieces = work / "checkpoint.pt", work / "pieces.json"
    english = encoder == "english"
    if not options.keep_checkpoint:
        recipe = Recipe() if english else material.MULTILINGUAL
        recipe = replace(recipe, bfloat16=not options.float32, epochs=options.epochs or recipe.epochs)
        fine_tune(
            lambda how: (
                material.english(options.data, how) if english else material.multilingual(options.data, pieces, how)
            ),
            checkpoint,
            recipe,
        )

    network = export.english_network(checkpoint) if english else export.multilingual_network(checkpoint, pieces)
    export.to_onnx(network, work / "float32.onnx")
    export.to_int8(work / "float32.onnx", weights / "model.onnx", spare_wide=not english)
    if english:
        export.copy_english_tokenizer(weights)
    else:
        export.write_multilingual_tokenizer(pieces, weights)
    fit = calibrate.calibrate_english if english else calibrate.calibrate_multilingual
    say(step="calibrated", encoder=encoder, model=MODEL, **fit(options.data, weights, MODEL))

    say(
        step="topics",
        encoder=f"{encoder}, untouched, float32",
        **topic_figures(options.data, material.untouched(encoder)),
    )
    read = Encoder(weights=weights)
    say(
        step="topics",
        encoder=f"{encoder}, as shipped, int8",
        **topic_figures(options.data, lambda texts: read.read(texts).embedding),
    )


def measure_both(options: argparse.Namespace) -> None:
    """The two together, as people get them."""
    from analysis.bundled import Bundled
    from analysis.training.finetune import say
    from analysis.training.measure import language_figures, mood_figures

    say(step="shipped", **mood_figures(options.data, Bundled([], weights=options.weights)))
    say(step="languages", **language_figures(options.data))


if __name__ == "__main__":
    sys.exit(main())
