# Linters run where torch is not installed, and then everything of torch's is Any.
# mypy: disable-error-code="misc, no-any-return, unused-ignore, import-not-found, no-untyped-call"
"""Back from the int8 graph to a float32 network, for comparisons where the training checkpoint is not at hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from transformers import BertConfig, BertModel

from analysis.base import AnalysisError
from analysis.encoder import ENGLISH, WEIGHTS
from analysis.training.network import Network


def restored(path: Path = WEIGHTS / ENGLISH / "model.onnx") -> Network:
    """The network whose float32 weights are those that the int8 graph stands for (seven bits of each are left).

    Raises AnalysisError when the graph does not hold every weight.
    """
    graph = onnx.load(str(path)).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}

    def value(name: str) -> np.ndarray | None:  # type: ignore[type-arg]
        if name.endswith("_quantized") and name in stored:
            stem = name.removesuffix("_quantized")
            zero = stored[f"{stem}_zero_point"].astype(np.float32)
            return (stored[name].astype(np.float32) - zero) * stored[f"{stem}_scale"]
        return stored.get(name)

    found: dict[str, torch.Tensor] = {}
    for name in stored:
        if name.startswith("network.") and not name.endswith(("_scale", "_zero_point")):
            array = value(name)
            assert array is not None
            found[name.removeprefix("network.").removesuffix("_quantized")] = torch.from_numpy(np.array(array))
    for node in _leading_to(graph, graph.output[0].name):
        if node.op_type in {"MatMulInteger", "MatMul"} and (array := value(node.input[1])) is not None:
            # The graph multiplies by the transposed matrix and names only the module it came from; in a Sequential
            # that module stands twice in the path ("/head/head.1/MatMul").
            # The graph numbers modules of one name; of those, sentiment reads one.
            module = re.sub(r"_\d+$", "", node.name.rsplit("/", 1)[0]).rsplit("/", 1)
            last = module[1] if module[1].startswith(f"{module[0].strip('/')}.") else "/".join(module)
            found[last.strip("/").replace("/", ".") + ".weight"] = torch.from_numpy(np.array(array.T))

    # all-MiniLM-L6-v2's shape; everything else about it is BERT's default.
    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    network = Network(BertModel(config, add_pooling_layer=False))
    missing, _ = network.load_state_dict(found, strict=False)
    if weights := [name for name in missing if not name.endswith(("position_ids", "token_type_ids"))]:
        raise AnalysisError(f"{path} does not hold {', '.join(weights[:3])} and {len(weights)} weights in all")
    return network.eval()


def _leading_to(graph: onnx.GraphProto, output: str) -> list[onnx.NodeProto]:
    """The nodes that an output depends on: a weight of another output's may bear the name of one of these."""
    makers = {made: node for node in graph.node for made in node.output}
    found: dict[str, onnx.NodeProto] = {}
    names = [output]
    while names:
        node = makers.get(names.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            names += node.input
    return list(found.values())
