"""`python -m analysis.train`: makes the files in `analysis/weights` and prints its figures as JSON lines."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from analysis.base import AnalysisError
from analysis.encoder import WEIGHTS

MODEL = "samtal-minilm-l6-int8 1"
"""Name and version of the weights that a run writes; count it up when they change."""


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
        help="where the float32 checkpoint and graph stay (DATA_DIR/training)",
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--epochs", type=float, help="passes over the training texts")
    parser.add_argument("--float32", action="store_true", help="train without bfloat16 (slower, any processor)")
    parser.add_argument("--keep-checkpoint", action="store_true", help="export and measure what is in --work")
    options = parser.parse_args()
    try:
        train(options)
    except ModuleNotFoundError as error:
        print(f"training needs {error.name}: pip install -r requirements-train.txt", file=sys.stderr)
        return 2
    except AnalysisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def train(options: argparse.Namespace) -> None:
    """One whole run. Prints a JSON line a step."""
    from analysis.encoder import Encoder
    from analysis.training import export
    from analysis.training.calibrate import calibrate
    from analysis.training.finetune import Recipe, fine_tune, outputs, say, tokenizer
    from analysis.training.measure import topic_figures
    from analysis.training.network import Network, base_encoder

    options.work.mkdir(parents=True, exist_ok=True)
    options.weights.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / "checkpoint.pt"
    if not options.keep_checkpoint:
        recipe = Recipe(bfloat16=not options.float32)
        fine_tune(options.data, checkpoint, replace(recipe, epochs=options.epochs or recipe.epochs))

    network = export.network_from(checkpoint)
    export.to_onnx(network, options.work / "float32.onnx")
    export.to_int8(options.work / "float32.onnx", options.weights / "model.onnx")
    export.copy_tokenizer(options.weights)
    say(step="calibrated", **calibrate(options.data, options.weights, MODEL))

    read = tokenizer(128)
    untouched = Network(base_encoder())
    say(
        step="topics",
        encoder="untouched, float32",
        **topic_figures(options.data, lambda texts: outputs(untouched, [read.encode(text).ids for text in texts])[1]),
    )
    encoder = Encoder(weights=options.weights)
    say(step="topics", encoder=MODEL, **topic_figures(options.data, lambda texts: encoder.read(texts).embedding))


if __name__ == "__main__":
    sys.exit(main())
