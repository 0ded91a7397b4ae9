# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""ONNX Runtime as the independent referee of what lapidary writes.

    python lane/referee.py optimize LAPIDARY MODEL.onnx ...
    python lane/referee.py prune LAPIDARY MODEL.onnx ... [--ratio 0.3]
    python lane/referee.py opset LAPIDARY MODEL.onnx ... [--opsets 18 21 23]

For every model the verb runs, then:
  * onnx.checker accepts the result, and names, order, types and shapes of its inputs and outputs are the original's;
  * ONNX Runtime, with its own optimizations off, runs it on two seeded inputs;
  * `optimize`: every output is within 1e-5 of the original's, relative to its largest magnitude, NaNs at the same places;
    the result optimized again has the same bytes; one thread and two threads write the same bytes;
  * `prune`: the file is smaller.
  * `opset`: the model is only converted to each newer version (no pass that changes more runs behind it); the result
    states that version, and every output is within 1e-5 of the original's.
Prints one line per model and exits with 1 if any check fails.
"""
import argparse
import os
import sys
import tempfile

import numpy as np
import onnx

from compare import TOLERANCE, check as complaint, difference, interface, session
from program import run

SIZES = {"N": 2, "batch": 2}
DEFAULT_SIZE = 7


def feeds(model, seed):
    """Seeded inputs: normal floats, small token ids, masks of ones."""
    rng = np.random.default_rng(seed)
    made = {}
    constant = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in constant:
            continue
        tensor = value.type.tensor_type
        shape = [d.dim_value or SIZES.get(d.dim_param, DEFAULT_SIZE) for d in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if np.issubdtype(dtype, np.floating):
            made[value.name] = rng.standard_normal(shape).astype(dtype)
        elif "mask" in value.name:
            made[value.name] = np.ones(shape, dtype)
        elif "type" in value.name:
            made[value.name] = np.zeros(shape, dtype)
        else:
            made[value.name] = rng.integers(0, 100, shape).astype(dtype)
    return made


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def check(verb, lapidary, path, folder, ratio):
    """One model; returns the facts of its line and what is wrong."""
    problems = []
    out = os.path.join(folder, "out.onnx")
    extra = ["--ratio", str(ratio)] if verb == "prune" else []
    run(lapidary, verb, path, "-o", out, *extra)
    before, after = onnx.load(path), onnx.load(out)
    if found := complaint(after):
        problems.append(found)
    if interface(before) != interface(after):
        problems.append("the inputs or outputs changed")
    original, changed = session(path), session(out)
    worst = 0.0
    for seed in (1, 2):
        inputs = feeds(before, seed)
        expected, found = original.run(None, inputs), changed.run(None, inputs)
        if verb == "optimize":
            worst = max([worst, *(difference(e, f) for e, f in zip(expected, found, strict=True))])
    if worst > TOLERANCE:
        problems.append(f"an output differs by {worst:.1e}")
    sizes = os.path.getsize(path), os.path.getsize(out)
    if verb == "optimize":
        again, threads = os.path.join(folder, "again.onnx"), os.path.join(folder, "threads.onnx")
        run(lapidary, verb, out, "-o", again)
        run(lapidary, verb, path, "-o", threads, "--threads", "1")
        if contents(again) != contents(out):
            problems.append("a second run changes the file")
        if contents(threads) != contents(out):
            problems.append("one thread writes another file")
    elif sizes[1] >= sizes[0]:
        problems.append("the file is not smaller")
    nodes = len(before.graph.node), len(after.graph.node)
    return nodes, sizes, worst, problems


def check_opset(lapidary, path, folder, opset):
    """One model in one newer operator set; returns the largest difference and what is wrong."""
    out = os.path.join(folder, "out.onnx")
    run(lapidary, "optimize", path, "-o", out, "--opset", str(opset), "--only", "eliminate-identity", "--verify", "off")
    before, after = onnx.load(path), onnx.load(out)
    problems = []
    if standard_opset(after) != opset:
        problems.append(f"the result imports {standard_opset(after)}")
    try:
        onnx.checker.check_model(after, full_check=True)
    except Exception as error:
        problems.append(f"onnx.checker: {str(error)[:200]}")
    if interface(before) != interface(after):
        problems.append("the inputs or outputs changed")
    original, changed = session(path), session(out)
    worst = 0.0
    for seed in (1, 2):
        inputs = feeds(before, seed)
        expected, found = original.run(None, inputs), changed.run(None, inputs)
        worst = max([worst, *(difference(e, f) for e, f in zip(expected, found, strict=True))])
    if worst > TOLERANCE:
        problems.append(f"an output differs by {worst:.1e}")
    return worst, problems


def standard_opset(model):
    return next(i.version for i in model.opset_import if i.domain in ("", "ai.onnx"))


def referee_opsets(lapidary, path, folder, opsets):
    """The line of one model in all newer operator sets, and what is wrong."""
    facts, problems = [], []
    found = standard_opset(onnx.load(path, load_external_data=False))
    for opset in opsets:
        if opset < found:
            continue
        worst, wrong = check_opset(lapidary, path, folder, opset)
        facts.append(f"{opset}: {worst:.1e}")
        problems += [f"opset {opset}: {problem}" for problem in wrong]
    return f"opset {found} -> " + ", ".join(facts), problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["optimize", "prune", "opset"])
    parser.add_argument("lapidary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ratio", type=float, default=0.3)
    parser.add_argument("--opsets", type=int, nargs="+", default=[18, 21, 23])
    arguments = parser.parse_args()
    failed = False
    for path in arguments.models:
        name = os.path.basename(path)
        with tempfile.TemporaryDirectory() as folder:
            try:
                if arguments.verb == "opset":
                    line, problems = referee_opsets(arguments.lapidary, path, folder, arguments.opsets)
                    failed |= bool(problems)
                    print(f"{name}: {line}" + "".join(f"\n    FAILED: {p}" for p in problems), flush=True)
                    continue
                nodes, sizes, worst, problems = check(
                    arguments.verb, arguments.lapidary, path, folder, arguments.ratio
                )
                line = f"{name}: nodes {nodes[0]} -> {nodes[1]}, bytes {sizes[0]} -> {sizes[1]}"
                line += f", largest difference {worst:.1e}"
            except Exception as error:
                line, problems = name, [str(error)[:600]]
        failed |= bool(problems)
        print(line + "".join(f"\n    FAILED: {problem}" for problem in problems), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
