# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""Random valid models through lapidary, with ONNX Runtime as the referee.

    python lane/fuzz.py LAPIDARY [--count N] [--seed S] [--jobs N] [--passes N] [--save FOLDER]
    python lane/fuzz.py LAPIDARY --only-seed 4711 [--save FOLDER]

Every model (see graphs.py) has to run in ONNX Runtime, without its optimizations, else it does not count. Then, after
`optimize`, after a few passes alone (other ones for each model) and after a few passes in a random order:
  * inputs and outputs are declared as before;
  * every output is what it was: bit for bit if only exact passes rewrote, else within 1e-5 of the largest value (float16:
    4 units in the last place of it) and infinities and NaNs at the same places, also for other sizes of symbolic dimensions
    and other values of initializers a caller may override;
  * random operators are as many as before;
and for one model in eight, optimizing the result again changes no byte.
A difference is saved: the model, cut down to one output, and what was found. Exits with 1 if there is one.
"""
import argparse
import functools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import compare
import graphs
import program
import workers

GRAPHS_PER_TASK = 20
SECONDS_PER_TASK = 300


# What ONNX Runtime does besides arithmetic. Operators that do not keep the sign of a zero:
UNSIGNED_ZEROS = {
    "AveragePool": "sums start at +0, so that a window of one element turns -0 into +0",
}
FLOAT16 = (
    "ONNX Runtime wraps operators it has no float16 kernel for in conversions, even without optimizations, and removes pairs "
    "of conversions to float16 and back that were meant to round; onnx.reference computes the same for both models"
)


PACKED = (
    "ONNX Runtime sums a product in another order when its matrix is an initializer; onnx.reference computes the same for both "
    "models"
)
NO_KERNEL = "ONNX Runtime has no kernel for an operator in the opset convert-opset was asked for"
EMPTY_SPLIT = "ONNX Runtime splits an empty dimension before opset 18, and refuses to from then on"
WINDOW = (
    "ONNX Runtime pools a window larger than its input, of which the specification says that nothing comes out, and from opset 19 "
    "on divides by less; onnx.reference computes the same for both models"
)
ILL_CONDITIONED = "the original itself moves as far when its inputs move by a unit in the last place"

# How often the original is asked what rounding does to it, and how many times that a difference may be.
PROBES = 4
MARGIN = 4.0


@dataclass
class Result:
    """What a task found."""

    counts: Counter = field(default_factory=Counter)
    fired: Counter = field(default_factory=Counter)
    discarded: Counter = field(default_factory=Counter)
    excluded: Counter = field(default_factory=Counter)
    failures: list = field(default_factory=list)


def contents(path):
    with open(path, "rb") as file:
        return file.read()


class Case:
    """A model that runs, its feeds and what it computes."""

    def __init__(self, sample):
        self.model = sample.model
        self.random = sample.random_outputs
        self.excluded = Counter()
        used = {node.op_type for node in self.model.graph.node}
        self.signed_zeros = not used & set(UNSIGNED_ZEROS)
        session = compare.session(self.model.SerializeToString())
        self.runs = []
        for index, feeds in enumerate(sample.feeds):
            try:
                self.runs.append((feeds, session.run(None, feeds)))
            except Exception:
                if index == 0:
                    raise

    def problem(self, path, exact):
        """What is wrong with the changed model at `path`, or nothing."""
        changed = onnx.load(path)
        if compare.interface(self.model) != compare.interface(changed):
            return "the inputs or outputs changed"
        if random_operators(self.model) != random_operators(changed):
            return "random operators were merged or removed"
        try:
            session = compare.session(contents(path))
        except Exception as error:
            if "NOT_IMPLEMENTED" in str(error) and opset(self.model) != opset(changed):
                self.excluded[NO_KERNEL] += 1
                return None
            return f"ONNX Runtime: {' '.join(str(error).split())[:300]}"
        for feeds, expected in self.runs:
            try:
                found = session.run(None, feeds)
            except Exception as error:
                if "Size of dimension being split is 0" in str(error) and opset(self.model) != opset(changed):
                    self.excluded[EMPTY_SPLIT] += 1
                    continue
                return f"ONNX Runtime: {' '.join(str(error).split())[:300]}"
            problem = self.compared(expected, found, exact)
            if not problem or self.is_float16_only(changed, feeds, exact):
                continue
            if exact and not self.compared(expected, found, False) and self.is_packing_only(changed, feeds):
                continue
            pools = any(node.op_type == "AveragePool" for node in changed.graph.node)
            if pools and opset(self.model) != opset(changed) and self.is_same_elsewhere(changed, feeds, exact, WINDOW):
                continue
            if not exact and self.is_ill_conditioned(feeds, expected, found):
                continue
            return problem
        return None

    def compared(self, expected, found, exact):
        kept = [index for index, is_random in enumerate(self.random) if not is_random]
        return compare.disagreement([expected[i] for i in kept], [found[i] for i in kept], exact, self.signed_zeros)

    def is_ill_conditioned(self, feeds, expected, found):
        """Whether the original differs from itself as much when its inputs are rounded otherwise.

        The mean of a row that was just normalized, say, is nothing but what rounding left over.
        """
        moved = [rounded_otherwise(self.model, feeds, seed) for seed in range(PROBES)]
        for index, is_random in enumerate(self.random):
            if is_random or compare.disagreement([expected[index]], [found[index]], False) is None:
                continue
            spread = max(compare.difference(expected[index], other[index]) for other in moved)
            if not compare.difference(expected[index], found[index]) <= MARGIN * spread < float("inf"):
                return False
        self.excluded[ILL_CONDITIONED] += 1
        return True

    def is_float16_only(self, changed, feeds, exact):
        """Whether a difference is one of conversions: the second referee sees none."""
        return uses_float16(self.model) and self.is_same_elsewhere(changed, feeds, exact, FLOAT16)

    def is_packing_only(self, changed, feeds):
        """Whether a difference within the tolerance is one of the order of a sum: the second referee sees none."""
        products = {"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"} & {node.op_type for node in self.model.graph.node}
        return products and self.is_same_elsewhere(changed, feeds, True, PACKED)

    def is_same_elsewhere(self, changed, feeds, exact, reason):
        """Whether the second referee, onnx.reference, sees no difference."""
        try:
            expected, found = (ReferenceEvaluator(model).run(None, feeds) for model in (self.model, changed))
        except Exception:
            return False
        if self.compared(expected, found, exact):
            return False
        self.excluded[reason] += 1
        return True


def uses_float16(model):
    """Whether an input, an initializer or a conversion has that type."""
    float16, graph = onnx.TensorProto.FLOAT16, model.graph
    targets = (attribute.i for node in graph.node if node.op_type == "Cast" for attribute in node.attribute)
    inputs = (value.type.tensor_type.elem_type for value in graph.input)
    return any(kind == float16 for kind in (*targets, *inputs, *(tensor.data_type for tensor in graph.initializer)))


def opset(model):
    return [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]


def rounded_otherwise(model, feeds, seed):
    """What the model computes when every number given to it, and every one it holds, moves by a unit in the last place."""
    rng = np.random.default_rng(seed)
    moved = onnx.ModelProto.FromString(model.SerializeToString())
    constants = [node.attribute[0].t for node in moved.graph.node if node.op_type == "Constant"]
    for tensor in [*moved.graph.initializer, *constants]:
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
            array = nudged(onnx.numpy_helper.to_array(tensor), rng)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    feeds = {name: nudged(array, rng) for name, array in feeds.items()}
    return compare.session(moved.SerializeToString()).run(None, feeds)


def nudged(array, rng):
    """Every floating-point number moved by a unit in the last place, up or down."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return array
    towards = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    return np.asarray(np.nextafter(array, towards))


def random_operators(model):
    return sum(node.op_type.startswith("Random") for node in model.graph.node)


def plans(passes, fired, seed, count):
    """Which passes to run besides the pipeline: some that fired, alone, and some in a random order, and now and then those
    that are no part of it."""
    rng = random.Random(seed)
    active, every = [name for name, times in fired.items() if times], list(passes)
    rng.shuffle(active)
    extra = [name for name in every if name not in fired] if rng.random() < 0.25 else []
    return [[name] for name in active[:count] + extra] + [rng.sample(every, min(8, len(every)))]


def attempt(lapidary, passes, case, source, folder, only):
    """Runs passes; returns what is wrong, and what each pass did."""
    target = os.path.join(folder, "target.onnx")
    try:
        fired = program.optimize(lapidary, source, target, only=only)
    except program.Refused as refused:
        return str(refused), {}
    exact = all(passes[name] for name, times in fired.items() if times)
    return case.problem(target, exact), fired


def is_stable(lapidary, folder):
    first, second = os.path.join(folder, "target.onnx"), os.path.join(folder, "again.onnx")
    program.optimize(lapidary, first, second)
    return contents(first) == contents(second)


def culprit(lapidary, passes, case, source, folder, fired):
    """The pass that alone is enough for a difference, if there is one."""
    for name, times in fired.items():
        if times and attempt(lapidary, passes, case, source, folder, [name])[0]:
            return name
    return None


def examine(lapidary, passes, singles, save, seeds):
    """A task: some models."""
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            sample = graphs.generate(seed)
            if sample is None:
                result.counts["empty"] += 1
                continue
            try:
                case = Case(sample)
            except Exception as error:
                result.discarded[" ".join(str(error).split())[:160]] += 1
                continue
            result.counts["models"] += 1
            result.counts["nodes"] += len(case.model.graph.node)
            examine_one(lapidary, passes, singles, save, seed, case, folder, result)
            result.excluded.update(case.excluded)
    return result


def examine_one(lapidary, passes, singles, save, seed, case, folder, result):
    source = os.path.join(folder, "source.onnx")
    onnx.save(case.model, source)
    problem, fired = attempt(lapidary, passes, case, source, folder, None)
    result.fired.update({name: 1 for name, times in fired.items() if times})
    result.counts["changed"] += any(fired.values())
    if not problem and seed % 8 == 0 and not is_stable(lapidary, folder):
        problem = "optimizing the result again changes it"
    if problem:
        name = culprit(lapidary, passes, case, source, folder, fired)
        report(result, save, seed, name or "optimize", problem, case, lapidary, passes, folder)
        return
    for only in plans(passes, fired, seed, singles):
        result.counts["runs"] += 1
        problem, fired = attempt(lapidary, passes, case, source, folder, only)
        if problem:
            name = ",".join(only) if len(only) == 1 else culprit(lapidary, passes, case, source, folder, fired) or ",".join(only)
            report(result, save, seed, name, problem, case, lapidary, passes, folder)
            return


# --- failures


def report(result, save, seed, name, problem, case, lapidary, passes, folder):
    """Keeps a failure, and the smallest part of the model that shows it."""
    result.failures.append((seed, name, problem))
    if save is None:
        return
    os.makedirs(save, exist_ok=True)
    model = shrunk(lapidary, passes, None if name == "optimize" else name.split(","), case, folder)
    path = os.path.join(save, f"{seed}-{name.split(',')[0]}.onnx")
    onnx.save(model, path)
    with open(path.replace(".onnx", ".txt"), "w") as file:
        file.write(f"seed {seed}\npasses {name}\n{problem}\n\n{onnx.printer.to_text(model)}\n")


def shrunk(lapidary, passes, only, case, folder):
    """The model with fewer outputs and nodes, as long as it fails."""
    best, shrinking = case.model, True
    while shrinking:
        shrinking = False
        for smaller in parts(best):
            if fails(lapidary, passes, only, smaller, case, folder):
                best, shrinking = smaller, True
                break
    return best


def parts(model):
    """Smaller models: without an output, or cut behind a node; dead nodes removed."""
    outputs = list(model.graph.output)
    for output in outputs:
        if len(outputs) > 1:
            yield pruned(model, [other for other in outputs if other is not output], None)
    names = {output.name for output in outputs}
    for node in model.graph.node:
        if node.op_type != "Constant" and not names & set(node.output):
            yield pruned(model, outputs, node)


def pruned(model, outputs, skipped):
    """A copy with these outputs; the outputs of `skipped` become inputs."""
    made = onnx.ModelProto.FromString(model.SerializeToString())
    graph = made.graph
    kept = [onnx.ValueInfoProto.FromString(output.SerializeToString()) for output in outputs]
    del graph.output[:]
    graph.output.extend(kept)
    needed = {output.name for output in kept}
    nodes = []
    for node in reversed(list(graph.node)):
        if skipped is not None and list(node.output) == list(skipped.output):
            continue
        if needed & set(node.output):
            nodes.append(node)
            needed.update(node.input)
            for attribute in node.attribute:
                needed.update(name for inner in attribute.g.node for name in inner.input)
                needed.update(output.name for output in attribute.g.output)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(nodes)]
    del graph.node[:]
    graph.node.extend(nodes)
    for field_ in (graph.initializer, graph.input):
        found = [item for item in field_ if item.name in needed]
        del field_[:]
        field_.extend(found)
    if skipped is not None:
        made.graph.doc_string = ",".join(skipped.output)
    return made


def fails(lapidary, passes, only, model, case, folder):
    """Whether a smaller model still fails; values it lacks are fed with what the original computes for them."""
    cut = [name for name in model.graph.doc_string.split(",") if name]
    model.graph.ClearField("doc_string")
    needed = {name for node in model.graph.node for name in node.input} | {output.name for output in model.graph.output}
    cut = [name for name in cut if name in needed]
    try:
        smaller = [(dict(feeds), None) for feeds, _ in case.runs]
        if cut:
            probe = onnx.ModelProto.FromString(case.model.SerializeToString())
            del probe.graph.output[:]
            probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in cut)
            session = compare.session(probe.SerializeToString())
            for index, (feeds, _) in enumerate(smaller):
                arrays = dict(zip(cut, session.run(None, feeds)))
                feeds.update(arrays)
                if index == 0:
                    for name, array in arrays.items():
                        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
                        model.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
        inputs = {value.name for value in model.graph.input}
        sample = graphs.Sample(0, model, [{k: v for k, v in feeds.items() if k in inputs} for feeds, _ in smaller], [False] * len(model.graph.output))
        candidate = Case(sample)
        source = os.path.join(folder, "smaller.onnx")
        onnx.save(model, source)
        problem, _ = attempt(lapidary, passes, candidate, source, folder, only)
    except Exception:
        return False
    if problem:
        case.runs, case.model = [*candidate.runs], model
    return bool(problem)


# --- all of them


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-seed", type=int, help="one model alone, of this seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--passes", type=int, default=2, help="passes to try alone on each model")
    parser.add_argument("--save", help="folder for models that fail")
    arguments = parser.parse_args()
    passes = program.passes(arguments.lapidary)
    first = arguments.seed * 1_000_000
    seeds = range(first, first + arguments.count) if arguments.only_seed is None else [arguments.only_seed]
    tasks = [seeds[at : at + GRAPHS_PER_TASK] for at in range(0, len(seeds), GRAPHS_PER_TASK)]
    task = functools.partial(examine, arguments.lapidary, passes, arguments.passes, arguments.save)
    total, started = Result(), time.monotonic()
    lost = run(task, tasks, arguments.jobs, total)
    # Who crashes the runtime: alone, and then only if the original does not crash it as well.
    lost = run(task, [[seed] for seeds, _ in lost for seed in seeds], arguments.jobs, total)
    crashing = {seeds[0] for seeds, _ in run(runs_at_all, [seeds for seeds, _ in lost], arguments.jobs, Result())}
    for (seed,), reason in lost:
        if seed in crashing:
            total.discarded[f"the original crashes the runtime: {reason}"] += 1
        else:
            total.failures.append((seed, "worker", reason))
            print(f"FAILED seed {seed}: {reason}", flush=True)
    summarize(total, time.monotonic() - started)
    sys.exit(1 if total.failures or not total.counts["models"] else 0)


def run(task, tasks, jobs, total):
    """Works through tasks, adds what they find to `total`; returns those that crashed or hung, with the reason."""
    lost = []
    for seeds, result in workers.each(task, tasks, jobs, SECONDS_PER_TASK):
        if isinstance(result, workers.Lost):
            lost.append((seeds, result.reason))
            continue
        for counter in ("counts", "fired", "discarded", "excluded"):
            getattr(total, counter).update(getattr(result, counter))
        total.failures += result.failures
        for seed, name, problem in result.failures:
            print(f"FAILED seed {seed} [{name}]: {problem}", flush=True)
    return lost


def runs_at_all(seeds):
    """Runs the originals alone, twice."""
    for seed in seeds:
        sample = graphs.generate(seed)
        for _ in range(2):
            Case(sample)
    return Result()


def summarize(total, seconds):
    counts = total.counts
    print(f"\n{counts['models']} models of {counts['nodes']} nodes in {seconds:.0f} s; {counts['changed']} changed, {counts['runs']} further runs")
    for name, times in total.fired.most_common():
        print(f"  {name} rewrote {times}")
    print(f"  not valid in ONNX Runtime: {sum(total.discarded.values())}, empty: {counts['empty']}")
    for reason, times in total.discarded.most_common(8):
        print(f"    {times} {reason}")
    for reason, times in total.excluded.items():
        print(f"  excluded {times}: {reason}")
    print(f"  failures: {len(total.failures)}")


if __name__ == "__main__":
    main()
