# /// script
# requires-python = ">=3.10"
# dependencies = ["onnxruntime==1.31.1", "numpy"]
# ///
"""How long models take in ONNX Runtime: a command for `lapidary prune --latency SHARE --runtime "python lane/latency.py"`.

    python lane/latency.py MODEL.onnx ...

Prints, for every model in the order given, the milliseconds of one run: on this processor, in one thread, on seeded inputs
of the declared types and shapes (dimensions without a number are 1). The models take turns, and in every turn a model runs
several times, so that it finds its weights where a model finds them that runs alone; the least of all runs is printed.
"""
import argparse
import time

import numpy as np
import onnxruntime

TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(uint32)": np.uint32,
    "tensor(int64)": np.int64,
    "tensor(uint64)": np.uint64,
    "tensor(bool)": np.bool_,
}
# Turns of every model at most; runs and seconds of a turn at least.
TURNS, RUNS, SECONDS = 6, 3, 0.002
# Seconds of all turns of a model, from which on there are only as many as FEWEST.
ENOUGH, FEWEST = 0.05, 3


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def filled(declared, rng):
    """Normal floats; integers of 0 and 1, which are places in any table."""
    if declared.type not in TYPES:
        raise SystemExit(f"input {declared.name} has type {declared.type}")
    shape = [size if isinstance(size, int) else 1 for size in declared.shape]
    kind = TYPES[declared.type]
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(shape).astype(kind)
    return rng.integers(0, 2, shape).astype(kind)


class Timed:
    """A model with inputs and outputs where it finds them without a copy."""

    def __init__(self, path):
        self.session = session(path)
        rng = np.random.default_rng(0)
        self.binding = self.session.io_binding()
        for declared in self.session.get_inputs():
            self.binding.bind_cpu_input(declared.name, filled(declared, rng))
        for declared in self.session.get_outputs():
            self.binding.bind_output(declared.name)
        self.least, self.spent, self.turns = float("inf"), 0.0, 0
        self.session.run_with_iobinding(self.binding)

    def turn(self):
        """Runs several times, the first without looking at the clock."""
        if self.turns >= FEWEST and self.spent > ENOUGH:
            return
        self.turns += 1
        self.session.run_with_iobinding(self.binding)
        runs, start = 0, time.perf_counter()
        now = start
        while runs < RUNS or now - start < SECONDS:
            self.session.run_with_iobinding(self.binding)
            before, now = now, time.perf_counter()
            self.least = min(self.least, now - before)
            runs += 1
        self.spent += now - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    models = [Timed(path) for path in parser.parse_args().models]
    for _ in range(TURNS):
        for model in models:
            model.turn()
    for model in models:
        print(f"{1e3 * model.least:.6f}")


if __name__ == "__main__":
    main()
