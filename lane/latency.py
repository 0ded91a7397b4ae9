# /// script
# requires-python = ">=3.10"
# dependencies = ["onnxruntime==1.31.1", "numpy"]
# ///
"""How long models take in ONNX Runtime: a command for `lapidary prune --latency SHARE --runtime "python lane/latency.py"`.

    python lane/latency.py MODEL.onnx ...

Prints, for every model in the order given, the milliseconds of one run: on this processor, in one thread, on seeded inputs
of the declared types and shapes (dimensions without a number are 1). The models take turns until the last: each finds the
caches as another one left them, except for its inputs, as what comes before a model or a part of one has just made them.
The least of all runs is printed.
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
# Rounds in which every model runs once: at least, and as many as are enough if they take this many seconds; whatever is
# missing, there are no more rounds after the last number of seconds.
LEAST, ENOUGH, SECONDS, MOST = 5, 300, 2.0, 8.0


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
        self.binding, self.inputs = self.session.io_binding(), []
        for declared in self.session.get_inputs():
            array = filled(declared, rng)
            self.inputs.append(array.reshape(-1).view(np.uint8))
            self.binding.bind_cpu_input(declared.name, array)
        for declared in self.session.get_outputs():
            self.binding.bind_output(declared.name)
        self.least = float("inf")
        self.session.run_with_iobinding(self.binding)

    def run(self):
        for array in self.inputs:
            array.max(initial=0)
        start = time.perf_counter()
        self.session.run_with_iobinding(self.binding)
        self.least = min(self.least, time.perf_counter() - start)


def done(rounds, seconds):
    return seconds > MOST or (rounds >= ENOUGH and seconds > SECONDS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    models = [Timed(path) for path in parser.parse_args().models]
    start, rounds = time.perf_counter(), 0
    while rounds < LEAST or not done(rounds, time.perf_counter() - start):
        for model in models:
            model.run()
        rounds += 1
    for model in models:
        print(f"{1e3 * model.least:.6f}")


if __name__ == "__main__":
    main()
