# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "numpy"]
# ///
"""Whether the indices of `prune --write-keep` give the weights `prune` writes.

    python lane/keep.py LAPIDARY MODEL.onnx ... [--ratio 0.3]

Every model is pruned as it is (`--no-optimize --ratio`). The indices of the file, applied to the original initializers with
numpy, have to give those of the pruned model, number by number, and no other initializer may have changed its shape. Then it is
pruned by the file itself (`--keep`), which has to give the same bytes, and once more the usual way: the indices have to name
initializers of the original, and to give the shapes that are written. Exits with 1 if any check fails.
"""
import argparse
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx.numpy_helper import to_array

from program import run


def initializers(path):
    return {tensor.name: to_array(tensor) for tensor in onnx.load(path).graph.initializer}


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
    """The number of entries, and what is wrong."""
    out, again, file = (os.path.join(folder, name) for name in ("out.onnx", "again.onnx", "keep.json"))
    problems = []
    run(lapidary, "prune", path, "-o", out, "--ratio", str(ratio), "--no-optimize", "--write-keep", file)
    with open(file) as text:
        entries = json.load(text)
    found, expected = initializers(out), cut(initializers(path), entries["weights"])
    numbers = {node["name"] for node in entries["nodes"]}
    for name, weight in found.items():
        if weight.dtype.kind == "f" and not np.array_equal(weight, expected.get(name)):
            problems.append(f"{name} differs")
    if not entries["weights"]:
        problems.append("nothing is cut")
    if entries["computed"]:
        problems.append("a model as it is has computed weights")
    run(lapidary, "prune", path, "-o", again, "--keep", file, "--no-optimize")
    if contents(again) != contents(out):
        problems.append("--keep gives another file")
    run(lapidary, "prune", path, "-o", out, "--ratio", str(ratio), "--write-keep", file)
    with open(file) as text:
        usual = json.load(text)
    found, expected = initializers(out), cut(initializers(path), usual["weights"])
    for entry in usual["weights"]:
        name = entry["name"]
        if name in found and found[name].size != expected[name].size:
            problems.append(f"{name} has shape {found[name].shape}, the indices give {expected[name].shape}")
    return len(entries["weights"]), len(usual["weights"]), len(usual["computed"]), len(numbers), problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ratio", type=float, default=0.3)
    arguments = parser.parse_args()
    failed = False
    for path in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            *counts, problems = check(arguments.lapidary, path, folder, arguments.ratio)
        failed |= bool(problems)
        told = "as it is {} weights; usual {}, of computed ones {}; {} nodes".format(*counts)
        print(f"{os.path.basename(path)}: {told}" + "".join(f"\n    FAILED: {p}" for p in problems), flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
