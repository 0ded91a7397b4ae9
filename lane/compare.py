"""Runs a model outside of lapidary, and compares what two runs computed."""
import numpy as np
import onnx
import onnxruntime as ort

# Relative to the largest magnitude of an output.
TOLERANCE = 1e-5

# Units in the last place of the largest magnitude, for types coarser than float.
UNITS = 4


def session(model):
    """An ONNX Runtime session of a path or of bytes, with one thread and without optimizations."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def is_float(dtype):
    """Whether a type rounds; bfloat16 and the types of 8 bits are no types of numpy's own."""
    return np.issubdtype(dtype, np.floating) or dtype.name.startswith(("bfloat", "float"))


def tolerance(dtype):
    """The difference that reordered arithmetic may make, relative to the largest magnitude."""
    coarse = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
    return max(TOLERANCE, UNITS * coarse.get(dtype.name, 0.0))


def difference(expected, found):
    """The largest difference relative to the largest finite magnitude of `expected`.

    Infinite when types, shapes, the places of NaNs or infinities, or anything that is no float
    differs. Sequences and optionals are compared element by element.
    """
    if isinstance(expected, (list, tuple)) or isinstance(found, (list, tuple)):
        if type(expected) is not type(found) or len(expected) != len(found):
            return float("inf")
        return max((difference(e, f) for e, f in zip(expected, found)), default=0.0)
    if expected is None or found is None:
        return 0.0 if expected is found else float("inf")
    expected, found = np.asarray(expected), np.asarray(found)
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    if np.issubdtype(expected.dtype, np.complexfloating):
        parts = ((getattr(expected, part), getattr(found, part)) for part in ("real", "imag"))
        return max(difference(e, f) for e, f in parts)
    if not is_float(expected.dtype):
        return 0.0 if np.array_equal(expected, found) else float("inf")
    a, b = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(a[~finite], b[~finite], equal_nan=True) or not np.isfinite(b[finite]).all():
        return float("inf")
    a, b = a[finite], b[finite]
    return float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30))


def is_same(expected, found, signed_zeros=True):
    """Whether two results agree bit for bit; one NaN is as good as another, and a zero as another if `signed_zeros` is not set."""
    if isinstance(expected, (list, tuple)):
        same_length = type(expected) is type(found) and len(expected) == len(found)
        return same_length and all(is_same(e, f, signed_zeros) for e, f in zip(expected, found))
    if difference(expected, found) != 0.0:
        return False
    if expected is None or not signed_zeros or not is_float(np.asarray(expected).dtype):
        return True
    expected, found = np.asarray(expected), np.asarray(found)
    numbers = ~np.isnan(expected.astype(np.float64))
    return expected[numbers].tobytes() == found[numbers].tobytes()


def disagreement(expected, found, exact, signed_zeros=True):
    """What is wrong with the outputs `found`, or nothing."""
    for index, (e, f) in enumerate(zip(expected, found, strict=True)):
        if exact:
            if not is_same(e, f, signed_zeros):
                return f"output {index} is not the same: {describe(e)} became {describe(f)}"
            continue
        distance = difference(e, f)
        allowed = tolerance(e.dtype) if isinstance(e, np.ndarray) else TOLERANCE
        if distance > allowed:
            return f"output {index} differs by {distance:.1e}, allowed is {allowed:.1e}: {describe(e)} became {describe(f)}"
    return None


def describe(value):
    """A result in a few words."""
    if not isinstance(value, np.ndarray):
        return str(value)[:100]
    first = np.array2string(value.ravel()[:6], precision=6, separator=",").replace("\n", "")
    return f"{value.dtype}{list(value.shape)} {first}"


def interface(model):
    """The inputs and outputs of a model, as the file declares them."""
    graph = model.graph
    return [[v.SerializeToString(deterministic=True) for v in values] for values in (graph.input, graph.output)]


def check(model):
    """What onnx.checker says against a model, or nothing."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        return f"onnx.checker: {' '.join(str(error).split())[:300]}"
    return None
