# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, untyped-decorator, unused-ignore, no-any-return, import-not-found, no-untyped-call"
"""From a checkpoint to the two files that Samtal runs on: one int8 ONNX graph and the tokenizer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from analysis.training import e5, material
from analysis.training.finetune import padded
from analysis.training.network import Network, base_folder

OUTPUTS = ("sentiment", "embedding", "middle")


class _Graph(nn.Module):
    """What the ONNX file computes: integer ids and mask in, the three float outputs out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.network.read(input_ids, attention_mask)


def english_network(checkpoint: Path) -> Network:
    """The fine-tuned English network in float32, ready to read."""
    return _restored(material.english_network(), checkpoint)


def multilingual_network(checkpoint: Path, pieces: Path) -> Network:
    """The fine-tuned multilingual network with the vocabulary in `pieces`, ready to read."""
    return _restored(material.multilingual_network(e5.Base(), e5.load_pieces(pieces)), checkpoint)


def _restored(network: Network, checkpoint: Path) -> Network:
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    return network.eval()


def to_onnx(network: Network, path: Path) -> None:
    """Writes the float32 graph."""
    ids, mask = padded([[0, 2307, 2], [0, 2307, 3185, 999, 2]])
    axes = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        _Graph(network).eval(),
        (ids, mask),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=list(OUTPUTS),
        dynamic_axes={"input_ids": axes, "attention_mask": axes} | {name: {0: "texts"} for name in OUTPUTS},
        opset_version=17,
        dynamo=False,
    )


_LEFT_ALONE = ("/head/", "/look", "/words/", "/carry/")


def to_int8(source: Path, target: Path, *, spare_wide: bool = False, reduce_range: bool = True) -> None:
    """Writes the graph with its matrices as int8; activations are quantised as they come (dynamic quantisation).

    One scale per channel keeps the embedding closer to float32's. Seven bits instead of eight cost nothing measurable
    and keep processors without VNNI, whose 16-bit sums saturate, at the same answers as those with it.
    The head stays float32: it is 0.3 million of 22 million weights, and its output is what is shown. So do the map of
    the multilingual embedding, and word vectors that are packed already.

    spare_wide: what goes into each layer's last matrix is not quantised. A few of those 1,536 numbers are far larger
    than the others, and rounding them all by the largest costs the multilingual encoder 1.8 points of macro-F1 for a
    third more speed. The matrix is stored in int8 all the same.
    """
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    model = onnx.load(str(prepared))
    left_alone = [node.name for node in model.graph.node if any(part in node.name for part in _LEFT_ALONE)]
    if spare_wide:
        wide = [node for node in model.graph.node if _WIDE.search(node.name)]
        for node in wide:
            _store_in_int8(model.graph, node)
        onnx.save(model, str(prepared))
        left_alone += [node.name for node in wide]
    quantize_dynamic(
        str(prepared),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=reduce_range,
        nodes_to_exclude=left_alone,
    )
    prepared.unlink()


_WIDE = re.compile(r"layer\.\d+/output/dense/MatMul$")


def _store_in_int8(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Stores the node's matrix as int8 with a scale for each column; ONNX Runtime unfolds it once, when it loads."""
    name = node.input[1]
    stored = next(one for one in graph.initializer if one.name == name)
    matrix = onnx.numpy_helper.to_array(stored)
    scale = (np.abs(matrix).max(0, keepdims=True) / 127).astype(np.float32)
    graph.initializer.remove(stored)
    graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.round(matrix / scale).astype(np.int8), f"{name}/int8"),
            onnx.numpy_helper.from_array(scale, f"{name}/scale"),
        ]
    )
    unfold = [
        onnx.helper.make_node("Cast", [f"{name}/int8"], [f"{name}/cast"], f"{name}/Cast", to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Mul", [f"{name}/cast", f"{name}/scale"], [name], f"{name}/Mul"),
    ]
    for place, made in enumerate(unfold):
        graph.node.insert(place, made)


def copy_english_tokenizer(folder: Path) -> None:
    """Puts the base model's tokenizer beside the weights."""
    shutil.copyfile(base_folder() / "tokenizer.json", folder / "tokenizer.json")


def write_multilingual_tokenizer(pieces: Path, folder: Path) -> None:
    """Puts the tokenizer of the chosen vocabulary beside the weights."""
    e5.Base().tokenizer(e5.load_pieces(pieces)).save(str(folder / "tokenizer.json"), pretty=False)
