# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""Whether the indices of `prune --write-keep` give the weights `prune` writes.

    python lane/keep.py LAPIDARY MODEL.onnx ... [--ratio 0.3]

Every model is pruned as it is (`--no-optimize --ratio`). The indices of the file, applied to the original initializers with
numpy, have to give those of the pruned model, number by number. Pruned by the file itself (`--keep`) it has to be the same
file. Then it is pruned the usual way: the original with the indices applied to its initializers and the numbers of the file to
its nodes has to compute in ONNX Runtime what the pruned model computes. Exits with 1 if any check fails.
"""
import argparse
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

from compare import TOLERANCE, difference, session
from program import run
from referee import feeds


def initializers(path):
    """The parameters of a model; exporters write equal ones once, and `Identity` for the others."""
    graph = onnx.load(path).graph
    found = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def cut(weights, entries):
    """The weights with the indices of the file taken, axis by axis: rows of grouped kernels behind their columns."""
    weights = dict(weights)
    for entry in sorted(entries, key=lambda entry: "keep" in entry):
        name, axis = entry["name"], entry["axis"]
        whole = weights[name]
        if whole.shape[axis] != entry["size"]:
            raise ValueError(f"{name} has {whole.shape[axis]} along axis {axis}, not {entry['size']}")
        if "keep" in entry:
            weights[name] = np.take(whole, entry["keep"], axis)
        else:
            rows = np.split(whole, len(entry["keep_by_group"]))
            parts = zip(rows, entry["keep_by_group"], strict=True)
            weights[name] = np.concatenate([np.take(part, keep, axis) for part, keep in parts])
    return weights


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def check(lapidary, path, folder, ratio):
    """The facts of the line of one model, and what is wrong."""
    out, again, file = (os.path.join(folder, name) for name in ("out.onnx", "again.onnx", "keep.json"))
    problems = []
    run(lapidary, "prune", path, "-o", out, "--ratio", str(ratio), "--no-optimize", "--no-mean-replacement", "--write-keep", file)
    with open(file) as text:
        entries = json.load(text)
    found, expected = initializers(out), cut(initializers(path), entries["weights"])
    for name, weight in found.items():
        # A vector of one number that nodes share becomes one for each, of a new name.
        if name not in expected and np.all(weight == weight.flat[0]):
            continue
        if weight.dtype.kind == "f" and not np.array_equal(weight, expected.get(name)):
            problems.append(f"{name} differs")
    if entries["computed"]:
        problems.append("a model as it is has computed weights")
    run(lapidary, "prune", path, "-o", again, "--keep", file, "--no-optimize", "--no-mean-replacement")
    if contents(again) != contents(out):
        problems.append("--keep gives another file")
    run(lapidary, "prune", path, "-o", out, "--ratio", str(ratio), "--no-mean-replacement", "--write-keep", file)
    with open(file) as text:
        usual = json.load(text)
    if not usual["weights"]:
        problems.append("nothing is cut")
    facts = f"as it is {len(entries['weights'])} weights, usual {len(usual['weights'])}"
    if usual["computed"]:
        return f"{facts}, {len(usual['computed'])} computed", problems
    model = rebuilt(path, usual)
    if model is None:
        return f"{facts}, nodes of another form", problems
    onnx.save(model, again)
    inputs = feeds(onnx.load(path), 1)
    pairs = zip(session(again).run(None, inputs), session(out).run(None, inputs), strict=True)
    worst = max(difference(expected, found) for expected, found in pairs)
    if worst > TOLERANCE:
        problems.append(f"the original with the indices applied computes something else, by {worst:.1e}")
    return f"{facts}, {len(usual['nodes'])} numbers of nodes, rebuilt within {worst:.1e}", problems


def rebuilt(path, entries):
    """The original with the indices and numbers of a file applied; none if a node of the file has another form there."""
    model = onnx.load(path)
    weights = cut(initializers(path), entries["weights"])
    others = [node for node in model.graph.node if node.op_type != "Identity" or node.output[0] not in weights]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(from_array(weight, name) for name, weight in weights.items())
    model.graph.node.extend(others)
    nodes = {node.name or node.output[0]: node for node in model.graph.node}
    for number, entry in enumerate(entries["nodes"]):
        node = nodes.get(entry["name"])
        if node is None or node.op_type != entry["op_type"]:
            return None
        if entry["place"].startswith("input "):
            slot, name = int(entry["place"].split()[1]), f"cut_{number}"
            old = weights.get(node.input[slot])
            if old is None or old.tolist() != entry["before"]:
                return None
            model.graph.initializer.append(from_array(np.array(entry["after"], old.dtype), name))
            node.input[slot] = name
            continue
        attribute = next(known for known in node.attribute if known.name == entry["place"])
        if attribute.ints:
            attribute.ints[:] = entry["after"]
        else:
            attribute.i = entry["after"][0]
    del model.graph.value_info[:]
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ratio", type=float, default=0.3)
    arguments = parser.parse_args()
    failed = False
    for path in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            told, problems = check(arguments.lapidary, path, folder, arguments.ratio)
        failed |= bool(problems)
        print(f"{os.path.basename(path)}: {told}" + "".join(f"\n    FAILED: {p}" for p in problems), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
