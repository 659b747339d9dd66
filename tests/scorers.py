"""Models in ONNX that are made on the spot, small enough to know what they must say."""

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper


def make_scorer(folder: Path, name: str = "brightness", *, shape: Any = None, **fields: Any) -> Path:
    """Write a model and its description; return that. Its numbers are the mean of its input and its negative.

    `shape` replaces the model's input: batch, channels and sides of any size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Neg", ["mean"], ["less"]),
        helper.make_node("Concat", ["mean", "less"], ["scores"], axis=1),
    ]
    sides = shape or ["batch", 3, "height", "width"]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    description = folder / f"{name}.json"
    description.write_text(json.dumps({"name": name, "path": f"{name}.onnx", "side_px": 8} | fields))
    return description
