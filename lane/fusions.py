# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""What ONNX Runtime makes of a model, before and after lapidary.

    python lane/fusions.py LAPIDARY MODEL.onnx ... [--target onnxruntime] [--verbose]

For every model `optimize` runs. ONNX Runtime then optimizes the original and the result (extended level) and
saves both. The fused operators it finds in the result must be at least as many as in the original, kind by kind.
With `--target onnxruntime` moreover
  * the result as lapidary writes it has no more nodes than what ONNX Runtime makes of the original;
  * run without ONNX Runtime's optimizations, it computes the original's outputs within 1e-5.
Prints one line per model and exits with 1 if any check fails.
"""
import argparse
import collections
import os
import sys
import tempfile

import onnx
import onnxruntime as ort
from referee import TOLERANCE, difference, feeds, run, session

# Kinds of fused operators, by what they compute: a fusion may gain a bias or a residual sum.
KINDS = {
    "attention": ["Attention", "MultiHeadAttention", "GroupQueryAttention"],
    "normalization": [
        "LayerNormalization",
        "SkipLayerNormalization",
        "EmbedLayerNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "SkipSimplifiedLayerNormalization",
    ],
    "skip": ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "EmbedLayerNormalization"],
    "gelu": ["Gelu", "FastGelu", "BiasGelu", "QuickGelu"],
    "conv": ["FusedConv"],
}


def optimized(path, folder):
    """The model as ONNX Runtime optimizes it."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    options.optimized_model_filepath = os.path.join(folder, "optimized.onnx")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


def counts(model):
    return collections.Counter(node.op_type for node in model.graph.node)


def kinds(found):
    return {kind: sum(found[op_type] for op_type in op_types) for kind, op_types in KINDS.items()}


def check(lapidary, path, folder, target, verbose):
    """One model; returns the facts of its line and what is wrong."""
    problems = []
    out = os.path.join(folder, "out.onnx")
    run(lapidary, "optimize", path, "-o", out, *(["--target", target] if target else []))
    written = onnx.load(out)
    before, after = optimized(path, folder), optimized(out, folder)
    expected, found = kinds(counts(before)), kinds(counts(after))
    for kind, count in expected.items():
        if found[kind] < count:
            problems.append(f"{kind}: {found[kind]} fused, {count} from the original")
    sizes = len(before.graph.node), len(after.graph.node), len(written.graph.node)
    if target == "onnxruntime":
        if sizes[2] > sizes[0]:
            problems.append(f"{sizes[2]} nodes, ONNX Runtime itself makes {sizes[0]}")
        original, changed = session(path), session(out)
        for seed in (1, 2):
            inputs = feeds(onnx.load(path), seed)
            pairs = zip(original.run(None, inputs), changed.run(None, inputs), strict=True)
            worst = max(difference(e, f) for e, f in pairs)
            if worst > TOLERANCE:
                problems.append(f"an output differs by {worst:.1e}")
    facts = ", ".join(f"{kind} {expected[kind]} -> {found[kind]}" for kind in KINDS if expected[kind] or found[kind])
    if verbose:
        for title, model in (("original", before), ("result", after), ("as written", written)):
            facts += f"\n    {title}: {dict(sorted(counts(model).items()))}"
    return sizes, facts, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--target")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    failed = False
    for path in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            try:
                sizes, facts, problems = check(arguments.lapidary, path, folder, arguments.target, arguments.verbose)
                line = f"nodes after ONNX Runtime {sizes[0]} -> {sizes[1]} (written {sizes[2]}); {facts}"
            except Exception as error:
                line, problems = "", [str(error)[:600]]
        failed |= bool(problems)
        print(f"{os.path.basename(path)}: {line}" + "".join(f"\n    FAILED: {p}" for p in problems), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
