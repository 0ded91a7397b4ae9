# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0", "onnxruntime==1.31.1", "numpy"]
# ///
"""Whether a model without channels computes what the model with the weights of these channels set to zero computes.

    python lane/oracle.py LAPIDARY MODEL.onnx ... [--choices 2] [--groups N] [--seed 0] [--attention heads]
    python lane/oracle.py LAPIDARY --forms

Every model is optimized, and `prune --plan` asked for its groups of channels. For every group and each choice, random channels
of it are pruned by name (`prune --keep`), and ONNX Runtime, without its optimizations, compares the result with the model that
has weights zeroed here, with numpy, in two ways:

  * at the source: what makes the channels or runs along them. That says something where every function behind them keeps zero:
    zeroing the readers as well changes nothing then;
  * at the readers: what reads the channels. That says something where nothing else does: other numbers in what makes them
    change nothing then.

Both have to agree with the pruned model wherever they say something; whether they do is looked into where they don't both agree.
A group where neither does is named, and one that then agrees with neither is a failure: the channels have other readers than the
plan says. So is named one whose zeros change no output. The choices take turns with two seeded inputs.
Channels that can't go need a reason in the plan, those that go have to make the file smaller. Then all groups are pruned at once
by the same choices, the result is checked by onnx.checker, its interface has to be that of the original, and it is compared on both
inputs with the model zeroed in all groups by ONNX Runtime and, through `verify`, by the runtime of lapidary.
`--groups` takes so many of the groups that can lose channels, evenly spread, and says so.
`--forms` takes the models of `lane/forms.py`: attention as single operators, and what ONNX Runtime fuses.
Prints one line per model and exits with 1 if anything differs.
"""
import argparse
import json
import os
import sys
import tempfile
import zlib
from typing import NamedTuple

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

import forms
from compare import TOLERANCE, check as complaint, difference, interface, session
from program import Refused, run
from referee import feeds

SOURCE, READERS = "source", "readers"


class Network:
    """A model with weights that can be changed for one execution; `weights` names those that will be."""

    def __init__(self, path, weights):
        self.model = onnx.load(path)
        self.tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.zeros = {}
        for node in self.model.graph.node:
            if node.op_type == "DequantizeLinear" and node.input[0] in self.tensors:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                point = node.input[2] if len(node.input) > 2 else None
                self.zeros[node.input[0]] = (point, axis)
        self.inputs = [feeds(self.model, seed) for seed in (1, 2)]
        self.changeable = {name for name in weights if name in self.tensors and self.zero(name) is not None}
        self.running = self.with_inputs()
        self.own = [self.outputs({}, [inputs]) for inputs in self.inputs]

    def with_inputs(self):
        """A session with the changeable weights as inputs that have these defaults; none where operators want constants."""
        open_model = onnx.ModelProto()
        open_model.CopyFrom(self.model)
        fed = {value.name for value in self.model.graph.input}
        for name in sorted(self.changeable - fed):
            tensor = self.tensors[name]
            value = onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
            open_model.graph.input.append(value)
        try:
            return session(open_model.SerializeToString())
        except Exception:
            return None

    def weight(self, name):
        return to_array(self.tensors[name])

    def zero(self, name):
        """What stands for zero in a weight, to broadcast with it; None where numbers are no weights."""
        weight = self.weight(name)
        if np.issubdtype(weight.dtype, np.floating):
            return weight.dtype.type(0)
        if name not in self.zeros:
            return None
        point, axis = self.zeros[name]
        if point is None:
            return weight.dtype.type(0)
        point = self.weight(point)
        shape = [1] * weight.ndim
        if point.ndim == 1:
            shape[axis] = -1
        return point.reshape(shape)

    def bytes(self, changed):
        """The model with these weights instead of its own."""
        kept = {name: self.tensors[name].SerializeToString() for name in changed}
        for name, weight in changed.items():
            self.tensors[name].CopyFrom(from_array(np.ascontiguousarray(weight), name))
        whole = self.model.SerializeToString()
        for name, tensor in kept.items():
            self.tensors[name].ParseFromString(tensor)
        return whole

    def outputs(self, changed, inputs):
        fits = all(name in self.changeable and weight.dtype.isbuiltin == 1 for name, weight in changed.items())
        if self.running is None or not fits:
            return execute(session(self.bytes(changed)), inputs)
        return execute(self.running, [{**fed, **changed} for fed in inputs])


def execute(running, inputs):
    """All outputs of a session for every set of inputs."""
    return [output for fed in inputs for output in running.run(None, fed)]


def distance(expected, found):
    return max(difference(e, f) for e, f in zip(expected, found, strict=True))



class Verdict(NamedTuple):
    """What zeroing says about a pruned model."""

    offs: dict
    """How far it is off, by the ways that say something."""
    idle: bool
    """Whether zeros change no output."""
    lost: bool
    """Whether no way says something and it agrees with none."""


class Choice:
    """Channels of one group, and which elements of which weights they are."""

    def __init__(self, group, gone, entries):
        self.group, self.gone = group, gone
        self.zeros = {SOURCE: [], READERS: []}
        roles = {}
        for member in group["members"]:
            roles.setdefault((member["weight"], member["axis"]), set()).add(member["role"])
        for entry in entries:
            known = roles.get((entry["name"], entry["axis"]), set())
            if "keep_by_group" in entry or "consumer" in known:
                self.zeros[READERS].append(entry)
            if known & {"producer", "companion"}:
                self.zeros[SOURCE].append(entry)

    def selected(self, weight, entry):
        """Where in a weight the channels are."""
        mask = np.zeros(weight.shape, bool)
        along = np.moveaxis(mask, entry["axis"], 0)
        if "keep" in entry:
            along[sorted(set(range(entry["size"])) - set(entry["keep"]))] = True
            return mask
        # Of the rows of each group of a convolution other columns go.
        rows = np.split(mask, len(entry["keep_by_group"]))
        for part, keep in zip(rows, entry["keep_by_group"], strict=True):
            gone = sorted(set(range(entry["size"])) - set(keep))
            np.moveaxis(part, entry["axis"], 0)[gone] = True
        return mask

    def zeroed(self, network, ways, weights=None):
        """The weights with zeros at these ways; on top of weights changed already."""
        weights = dict(weights or {})
        for way in ways:
            for entry in self.zeros[way]:
                name = entry["name"]
                weight = weights[name] if name in weights else network.weight(name)
                zero = network.zero(name)
                if zero is not None:
                    weights[name] = np.where(self.selected(weight, entry), zero, weight)
        return weights

    def disturbed(self, network, weights, rng):
        """The weights with other numbers in the rows that make the channels."""
        weights = dict(weights)
        makers = {(m["weight"], m["axis"]) for m in self.group["members"] if m["role"] == "producer"}
        for entry in self.zeros[SOURCE]:
            if (name := entry["name"], entry["axis"]) not in makers:
                continue
            weight = weights[name] if name in weights else network.weight(name)
            noise = rng.standard_normal(weight.shape) * (weight.std() + 1e-3)
            other = (weight * 0.5 + noise).astype(weight.dtype)
            weights[name] = np.where(self.selected(weight, entry), other, weight)
        return weights

    def compare(self, network, found, turn, rng):
        """How far the outputs `found` are off, by the ways of zeroing that say something."""
        inputs = network.inputs[turn : turn + 1]
        outputs = lambda weights: network.outputs(weights, inputs)
        weights = {way: self.zeroed(network, [way]) for way in self.zeros if self.zeros[way]}
        zeroed = {way: outputs(changed) for way, changed in weights.items()}
        idle = all(distance(network.own[turn], own) <= TOLERANCE for own in zeroed.values())
        offs = {way: distance(expected, found) for way, expected in zeroed.items()}
        if len(offs) == 2 and max(offs.values()) <= TOLERANCE:
            return Verdict(offs, idle, False)
        nearest = min(offs.values(), default=float("inf"))
        if SOURCE in offs:
            both = outputs(self.zeroed(network, [READERS], weights[SOURCE]))
            if distance(zeroed[SOURCE], both) > TOLERANCE:
                del offs[SOURCE]
        if READERS in offs:
            other = outputs(self.disturbed(network, weights[READERS], rng))
            if distance(zeroed[READERS], other) > TOLERANCE:
                del offs[READERS]
        return Verdict(offs, idle, not offs and nearest > TOLERANCE)


def prune(lapidary, path, folder, lists, attention):
    """Prunes all but these channels; the path of the result and the elements of the weights that stay."""
    wanted, told, out = (os.path.join(folder, name) for name in ("wanted.json", "told.json", "pruned.onnx"))
    with open(wanted, "w") as file:
        json.dump({"groups": [{"name": name, "keep": keep} for name, keep in lists]}, file)
    options = ["--no-optimize", "--no-mean-replacement", "--keep", wanted, "--write-keep", told, "-o", out, *attention]
    run(lapidary, "prune", path, *options)
    with open(told) as file:
        return out, json.load(file)["weights"]


def candidates(group, rng):
    """Random channels to go, ever fewer: first about 40 %, by blocks as many; at the end a single one."""
    removable, size = group["removable"], group["channels"]
    for share in (0.4, 0.2, 0.1):
        blocks = max((balance["count"] for balance in group["balances"]), default=1)
        parts = [[c for c in removable if c * blocks // size == block] for block in range(blocks)]
        each = max(1, int(share * len(removable) / blocks))
        if all(len(part) >= each for part in parts):
            yield sorted(int(c) for part in parts for c in rng.choice(part, each, replace=False))
    yield [int(rng.choice(removable))]


def choose(lapidary, path, folder, group, rng, attention):
    """Channels that can go, or why none can; the pruned model stays in the folder."""
    refusal = None
    for gone in candidates(group, rng):
        keep = [channel for channel in range(group["channels"]) if channel not in gone]
        try:
            out, entries = prune(lapidary, path, folder, [(group["name"], keep)], attention)
        except Refused as refused:
            refusal = refused.reason
            continue
        return Choice(group, gone, entries), out
    return None, refusal


def all_at_once(lapidary, network, path, folder, choices, attention):
    """Every group loses its channels; how far the result is off, what is wrong with it, and what else to say."""
    lists, weights = [], {}
    for choice, ways in choices:
        gone = set(choice.gone)
        lists.append((choice.group["name"], [c for c in range(choice.group["channels"]) if c not in gone]))
        weights = choice.zeroed(network, [SOURCE if SOURCE in ways else READERS], weights)
    out, _ = prune(lapidary, path, folder, lists, attention)
    zeroed = os.path.join(folder, "zeroed.onnx")
    with open(zeroed, "wb") as file:
        file.write(network.bytes(weights))
    pruned = onnx.load(out)
    problems = [found for found in [complaint(pruned)] if found]
    if interface(network.model) != interface(pruned):
        problems.append("the inputs or outputs changed")
    worst = distance(network.outputs(weights, network.inputs), execute(session(out), network.inputs))
    if worst > TOLERANCE:
        problems.append(f"all groups at once differ by {worst:.1e}")
    note = None
    try:
        run(lapidary, "verify", zeroed, out)
    except Refused as refused:
        # What the runtime of lapidary lacks, it lacks for the original.
        if "the original can't be executed" in refused.reason:
            note = "the runtime of lapidary can't execute it"
        else:
            problems.append(f"verify: {refused}")
    return worst, problems, note


def spread(groups, most):
    """At most so many of the groups, evenly."""
    count = len(groups) if most is None else min(most, len(groups))
    return [groups[place * len(groups) // count] for place in range(count)]


def unexplained(groups):
    """Groups with channels that have to stay for no reason the plan tells."""
    for group in groups:
        if len(group["removable"]) < group["channels"] and not (group["pins"] or group["held"]):
            yield f"{group['name']}: channels have to stay, and no reason is told"


def elements(model):
    """How many numbers the weights of a model are."""
    return sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in model.graph.initializer)


def check(lapidary, path, folder, count, most, seed, attention):
    """One model; the line about it and what is wrong."""
    optimized = os.path.join(folder, "optimized.onnx")
    run(lapidary, "optimize", path, "-o", optimized, "--verify", "off")
    plan = run(lapidary, "--json", "prune", optimized, "--plan", "--no-optimize", *attention)
    groups = json.loads(plan)["groups"]
    network = Network(optimized, {member["weight"] for group in groups for member in group["members"]})
    before = elements(network.model)
    rng = np.random.default_rng([seed, zlib.crc32(os.path.basename(path).encode())])
    free = [group for group in groups if group["removable"] and group["channels"] > 1]
    taken = spread(free, most)
    worst, judged, problems = 0.0, {SOURCE: 0, READERS: 0}, list(unexplained(groups))
    unjudged, moved, idle, notes = [], set(), set(), set()
    for turn in range(count):
        chosen = []
        for group in taken:
            choice, out = choose(lapidary, optimized, folder, group, rng, attention)
            if choice is None:
                notes.add(f"no channels found that can go of {group['name']}: {out}")
                continue
            if elements(onnx.load(out)) >= before:
                problems.append(f"{group['name']} without {choice.gone}: the weights are as many as before")
            turn %= len(network.inputs)
            found = execute(session(out), network.inputs[turn : turn + 1])
            verdict = choice.compare(network, found, turn, rng)
            (idle if verdict.idle else moved).add(group["name"])
            for way, off in verdict.offs.items():
                judged[way] += 1
                worst = max(worst, off)
                if off > TOLERANCE:
                    problems.append(f"{group['name']} without {choice.gone}, zeroed at the {way}: differs by {off:.1e}")
            if verdict.offs:
                chosen.append((choice, verdict.offs))
            elif verdict.lost:
                problems.append(f"{group['name']} without {choice.gone}: agrees with neither way of zeroing")
            else:
                unjudged.append(group["name"])
        if chosen:
            off, wrong, note = all_at_once(lapidary, network, optimized, folder, chosen, attention)
            worst = max(worst, off)
            problems += wrong
            notes |= {note} - {None}
    line = f"{len(free)} of {len(groups)} groups can lose channels; "
    if len(taken) < len(free):
        line += f"{len(taken)} of them, evenly spread, "
    line += f"compared {judged[SOURCE]} times at the source, {judged[READERS]} at the readers, "
    line += f"largest difference {worst:.1e}"
    notes |= {f"neither way says anything about {name}" for name in unjudged}
    notes |= {f"zeros change no output: {name}" for name in idle - moved}
    line += "".join(f"\n    {note}" for note in sorted(notes))
    return line, problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lapidary")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--forms", action="store_true", help="take the models of lane/forms.py too")
    parser.add_argument("--choices", type=int, default=2)
    parser.add_argument("--groups", type=int, metavar="N", help="compare so many groups of each model; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attention", choices=["heads", "places"], help="what a channel of an attention is")
    arguments = parser.parse_intermixed_args()
    attention = ["--attention", arguments.attention] if arguments.attention else []
    failed = False
    made = tempfile.TemporaryDirectory()
    paths = arguments.models + (forms.write(made.name) if arguments.forms else [])
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            try:
                line, problems = check(
                    arguments.lapidary, path, folder, arguments.choices, arguments.groups, arguments.seed, attention
                )
            except Exception as error:
                line, problems = "could not be checked", [f"{type(error).__name__}: {str(error)[:600]}"]
        failed |= bool(problems)
        told = "".join(f"\n    FAILED: {problem}" for problem in problems)
        print(f"{os.path.basename(path)}: {line}{told}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
