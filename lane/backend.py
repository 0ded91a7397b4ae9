# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""Every test model of the onnx package through lapidary.

    python lane/backend.py LAPIDARY [--jobs N] [--filter TEXT] [--only-pass NAME] [--verbose]

For every model in `onnx/backend/test/data`:
  * round trip: reading and writing it (`--only none`) keeps every byte, or at least every field;
  * `optimize`, and each pass alone: inputs and outputs are declared as before, onnx.checker accepts the result when it
    accepts the original, and on the inputs of the test the result computes what the original computes in ONNX Runtime,
    without its own optimizations. Passes that call themselves exact must keep every bit, others stay within 1e-5 of the
    largest value, in float16 and bfloat16 within 4 units in the last place of it.
Models ONNX Runtime can't execute are executed by onnx's reference implementation; what that can't execute either is
listed as skipped, and so is what lapidary refuses to read. Exits with 1 if anything fails.
"""
import argparse
import functools
import glob
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import DATA_DIR
from onnx.reference import ReferenceEvaluator

import compare
import program
import workers

SECONDS_PER_MODEL = 900

# Failures that are not lapidary's, by the name of the model and of the pass: why.
EXCLUDED = {}


@dataclass
class Report:
    """What was found about one model."""

    round_trip: str = ""
    refused: str = ""
    runtime: str = ""
    skips: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    excluded: list = field(default_factory=list)
    changed: list = field(default_factory=list)


def models():
    """The paths of all test models, in a fixed order; `light` ones are networks with weights that are computed."""
    pattern = os.path.join(DATA_DIR, "*", "*", "model.onnx")
    return sorted(glob.glob(pattern)) + sorted(glob.glob(os.path.join(DATA_DIR, "light", "*.onnx")))


def name_of(path):
    folder, file = os.path.split(path)
    return os.path.basename(folder) if file == "model.onnx" else file.removesuffix(".onnx")


def contents(path):
    with open(path, "rb") as file:
        return file.read()


# --- what a model is run on


def load_value(path, value_type):
    """One value of a test data set."""
    kind = value_type.WhichOneof("value")
    data = contents(path)
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def data_sets(path, model):
    """The feeds of a model: those of its test, or seeded ones for the networks that come without."""
    sets = []
    for folder in sorted(glob.glob(os.path.join(os.path.dirname(path), "test_data_set_*"))):
        files = len(glob.glob(os.path.join(folder, "input_*.pb")))
        pairs = ((value, os.path.join(folder, f"input_{index}.pb")) for index, value in enumerate(model.graph.input[:files]))
        sets.append({value.name: load_value(file, value.type) for value, file in pairs})
    if os.path.basename(path) != "model.onnx":
        given = {tensor.name for tensor in model.graph.initializer}
        shapes = {
            value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
            for value in model.graph.input
            if value.name not in given
        }
        rng = np.random.default_rng(1)
        sets.append({name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()})
    return sets


def run_onnx_runtime(path, sets):
    session = compare.session(path)
    known = {value.name for value in session.get_inputs()}
    return [session.run(None, {name: value for name, value in feeds.items() if name in known}) for feeds in sets]


def run_reference(path, sets):
    evaluator = ReferenceEvaluator(path)
    return [evaluator.run(None, dict(feeds)) for feeds in sets]


RUNTIMES = {"ONNX Runtime": run_onnx_runtime, "onnx.reference": run_reference}


class Original:
    """A test model, its data and what it computes."""

    def __init__(self, path):
        self.path, self.model = path, onnx.load(path)
        self.checked = compare.check(self.model)
        self.sets = data_sets(path, self.model)
        self.runtime, self.outputs, self.reasons = None, None, []
        for runtime, run in RUNTIMES.items():
            try:
                self.outputs, again = run(path, self.sets), run(path, self.sets)
            except Exception as error:
                self.reasons.append(f"{runtime}: {' '.join(str(error).split())[:200]}")
                continue
            self.runtime = runtime
            self.random = not all(compare.is_same(a, b) for a, b in zip(self.outputs, again))
            return

    def problems(self, path, exact):
        """What is wrong with the changed model at `path`."""
        changed = onnx.load(path)
        if compare.interface(self.model) != compare.interface(changed):
            yield "the inputs or outputs changed"
        if self.checked is None and (complaint := compare.check(changed)):
            yield complaint
        # onnx.reference has ONNX's own operators only.
        foreign = any(node.domain == "com.microsoft" for node in changed.graph.node)
        if self.runtime is None or (foreign and self.runtime == "onnx.reference"):
            return
        try:
            outputs = RUNTIMES[self.runtime](path, self.sets)
        except Exception as error:
            yield f"{self.runtime}: {' '.join(str(error).split())[:400]}"
            return
        for expected, found in zip(self.outputs, outputs):
            if self.random:
                expected, found = signature(expected), signature(found)
            if problem := compare.disagreement(expected, found, exact):
                yield problem


def signature(outputs):
    """What random outputs have in common from run to run."""
    return [str((o.dtype, o.shape)) if isinstance(o, np.ndarray) else str(type(o)) for o in outputs]


# --- round trip


def canonical(message):
    """A message with tensors as raw data, and without fields that say what is the default anyway."""
    for descriptor, value in message.ListFields():
        if descriptor.type == descriptor.TYPE_MESSAGE:
            for part in value if descriptor.is_repeated else [value]:
                canonical(part)
        elif not descriptor.is_repeated and value == descriptor.default_value and descriptor.containing_oneof is None:
            message.ClearField(descriptor.name)
    if isinstance(message, onnx.TensorProto) and message.data_type not in (onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED):
        raw = numpy_helper.from_array(numpy_helper.to_array(message), message.name)
        kept = [(d, v) for d, v in message.ListFields() if d.name in ("doc_string", "metadata_props")]
        message.CopyFrom(raw)
        for descriptor, value in kept:
            if descriptor.is_repeated:
                getattr(message, descriptor.name).extend(value)
            else:
                setattr(message, descriptor.name, value)
    return message


def round_trip(before, after):
    """How equal two files are; empty when they are not."""
    if contents(before) == contents(after):
        return "same bytes"
    a, b = onnx.load(before), onnx.load(after)
    if a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True):
        return "same message, bytes in another order"
    if canonical(a).SerializeToString(deterministic=True) == canonical(b).SerializeToString(deterministic=True):
        return "same content, another spelling (typed data as raw data, fields at their default omitted)"
    return ""


# --- one model


def single_passes(lapidary, path, names, unchanged, folder):
    """The passes among `names` that change the model alone, with the file each writes.

    Passes that change nothing together change nothing alone, so halves are tried first.
    """
    if not names:
        return
    target = os.path.join(folder, f"{names[0]}-{len(names)}.onnx")
    fired = program.optimize(lapidary, path, target, only=names)
    if not any(fired.values()) and contents(target) == unchanged:
        return
    if len(names) == 1:
        yield names[0], target
        return
    middle = len(names) // 2
    yield from single_passes(lapidary, path, names[:middle], unchanged, folder)
    yield from single_passes(lapidary, path, names[middle:], unchanged, folder)


def examine(lapidary, passes, only_pass, path):
    """All checks of one model."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        same = os.path.join(folder, "same.onnx")
        try:
            program.optimize(lapidary, path, same, only=[])
        except program.Refused as refused:
            if refused.code in (3, 4):
                report.refused = str(refused)
            else:
                report.failures.append(("round trip", str(refused)))
            return report
        report.round_trip = round_trip(path, same)
        if not report.round_trip:
            report.failures.append(("round trip", "the model is another one"))
        try:
            changed = list(changes(lapidary, passes, only_pass, path, contents(same), folder))
        except program.Refused as refused:
            report.failures.append(("optimize", str(refused)))
            return report
        if changed:
            judge(report, path, changed)
    return report


def changes(lapidary, passes, only_pass, path, unchanged, folder):
    """What changes the model: the name of the run, the file it writes, whether every bit has to stay."""
    if only_pass is None:
        target = os.path.join(folder, "optimized.onnx")
        fired = program.optimize(lapidary, path, target)
        if contents(target) != unchanged:
            yield "optimize", target, all(passes[name] for name, count in fired.items() if count)
    names = [only_pass] if only_pass else list(passes)
    for name, target in single_passes(lapidary, path, names, unchanged, folder):
        yield name, target, passes[name]


def judge(report, path, changed):
    """Compares what was written with the original; equal files once."""
    original = Original(path)
    report.runtime = f"{original.runtime}, random" if original.runtime and original.random else original.runtime
    if original.runtime is None:
        report.skips = original.reasons
    known = {}
    for run, target, exact in changed:
        report.changed.append(run)
        key = contents(target), exact
        if key not in known:
            known[key] = list(original.problems(target, exact))
        for problem in known[key]:
            reason = EXCLUDED.get((name_of(path), run))
            found = (run, problem) if reason is None else (run, f"{problem}: {reason}")
            (report.failures if reason is None else report.excluded).append(found)


# --- all of them


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--filter", default="", help="only models with this text in their name")
    parser.add_argument("--only-pass", help="only this pass alone, not the whole pipeline")
    parser.add_argument("--verbose", action="store_true", help="a line for every model that changed")
    arguments = parser.parse_args()
    passes = program.passes(arguments.lapidary)
    if arguments.only_pass and arguments.only_pass not in passes:
        parser.error(f"there is no pass {arguments.only_pass} that could be compared")
    paths = [path for path in models() if arguments.filter in name_of(path)]
    examine_one = functools.partial(examine, arguments.lapidary, passes, arguments.only_pass)
    started, reports = time.monotonic(), {}
    for path, report in workers.each(examine_one, paths, arguments.jobs, SECONDS_PER_MODEL):
        if isinstance(report, workers.Lost):
            report = Report(failures=[("worker", report.reason)])
        reports[name_of(path)] = report
        if arguments.verbose and report.changed:
            print(f"{name_of(path)}: {', '.join(report.changed)}", flush=True)
        for run, problem in report.failures:
            print(f"FAILED {name_of(path)} [{run}]: {problem}", flush=True)
    summarize(reports, time.monotonic() - started)
    sys.exit(1 if not reports or any(report.failures for report in reports.values()) else 0)


def summarize(reports, seconds):
    """Counts, and everything that was not compared with its reason."""
    for title, of in (("refused", lambda r: r.refused), ("not executed", lambda r: "; ".join(r.skips))):
        for name, report in sorted(reports.items()):
            if of(report):
                print(f"{title}: {name}: {of(report)}")
    for name, report in sorted(reports.items()):
        for run, problem in report.excluded:
            print(f"excluded: {name} [{run}]: {problem}")
    found = reports.values()
    print(f"\n{len(reports)} models in {seconds:.0f} s")
    for answer, count in Counter(r.round_trip or "refused" if not r.failures or r.round_trip else "failed" for r in found).most_common():
        print(f"  round trip: {count} {answer}")
    for runtime, count in Counter(r.runtime or "nothing" for r in found if r.changed).most_common():
        print(f"  changed and compared with {runtime}: {count}")
    for run, count in Counter(run for r in found for run in r.changed).most_common():
        print(f"  changed by {run}: {count}")
    print(f"  excluded: {sum(len(r.excluded) for r in found)}")
    print(f"  failures: {sum(len(r.failures) for r in found)}")


if __name__ == "__main__":
    main()
