"""Random valid models, biased towards what the passes of lapidary look for.

`generate(seed)` is deterministic. Floats are small multiples of 1/4 as long as they can be, so that most arithmetic is
exact in any order; operators that jump (rounding, comparisons, conversions to integers) read only such numbers.
"""
import random
from dataclasses import dataclass, replace

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSETS = (11, 13, 17, 18, 21, 23)
IR_VERSIONS = {11: 6, 13: 7, 17: 8, 18: 8, 21: 10, 23: 11}
FLOATS = (np.float32, np.float64, np.float16)
INTS = (np.int64, np.int32)

# Operators for which neither ONNX nor arithmetic says what to do with NaNs and infinities, or for which ONNX Runtime does
# something else: models that have one run on finite numbers only.
FINITE_ONLY = {
    "MaxPool": "starts at the lowest finite number and drops NaNs, or keeps them when the indices are asked for",
    "Cast": "gives any integer for a NaN, at the end of a vector another one than within",
    "CastLike": "as Cast",
    "ArgMax": "has no order for NaNs",
    "ArgMin": "has no order for NaNs",
}

# What symbolic dimensions are set to. Not 0: runtimes refuse to find out the open dimension of a `Reshape` to {0, -1} when
# there is no element, and that is how lapidary writes a computed shape with one open dimension. They stop with an error then.
SIZES = (1, 2, 3, 5)

INTEGERS = (TensorProto.INT64, TensorProto.INT32)


@dataclass(frozen=True)
class Value:
    """A value of the graph: its shape in this run, and what arithmetic made of it."""

    name: str
    dtype: type
    shape: tuple
    exact: bool = True
    random: bool = False
    constant: bool = False

    @property
    def rank(self):
        return len(self.shape)

    @property
    def is_float(self):
        return self.dtype in FLOATS


@dataclass
class Sample:
    """A generated model and what to run it on."""

    seed: int
    model: object
    feeds: list
    random_outputs: list


def elem_type(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


class Graph:
    """A graph in the making; subgraphs share the numbering and see the values of their parent."""

    def __init__(self, rng, data, opset, parent=None):
        self.rng, self.data, self.opset, self.parent = rng, data, opset, parent
        self.nodes, self.initializers, self.inputs, self.values = [], [], [], []
        self.read, self.overridable, self.shared = set(), [], {}
        # Numbers given to names, and whether ranks depend on sizes.
        self.counter = parent.counter if parent else [0, False]
        self.pinned = []

    # --- names, constants, inputs

    def name(self, prefix="v"):
        self.counter[0] += 1
        plain = f"{prefix}{self.counter[0]}"
        return f"{plain}_{self.rng.choice(['bias', '1', '2', 'sizes'])}" if self.chance(0.05) else plain

    def chance(self, p):
        return self.rng.random() < p

    def numbers(self, dtype, shape, low=-2.0, high=2.0):
        """Exact data: multiples of 1/4, or small integers, or truth values."""
        if dtype == np.bool_:
            return np.asarray(self.data.integers(0, 2, shape), bool)
        if dtype in FLOATS:
            return np.asarray(self.data.integers(int(low * 4), int(high * 4) + 1, shape) / 4, dtype)
        floor = 0 if np.issubdtype(dtype, np.unsignedinteger) else -3
        return np.asarray(self.data.integers(floor, 6, shape), dtype)

    def constant(self, array, plain=False):
        """A constant, spelled in one of the ways files spell it."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key in self.shared and self.chance(0.3):
            return self.shared[key]
        name, way = self.name("c"), self.rng.random()
        value = Value(name, array.dtype.type, array.shape, constant=True)
        if plain or way < 0.6:
            self.initializers.append(numpy_helper.from_array(array, name))
        elif way < 0.78:
            self.node("Constant", [], [name], value=numpy_helper.from_array(array, self.rng.choice(["", "t"])))
        elif way < 0.86:
            inner = self.constant(array, plain=True)
            self.node("Identity", [inner], [name])
        elif way < 0.92 and array.dtype.type in FLOATS + INTS and array.size:
            half = self.numbers(array.dtype.type, array.shape)
            rest = (array - half).astype(array.dtype)
            if (half + rest == array).all():
                self.node("Add", [self.constant(half, plain=True), self.constant(rest, plain=True)], [name])
            else:
                self.initializers.append(numpy_helper.from_array(array, name))
        elif way < 0.96 and array.ndim > 0:
            flat, shape = self.constant(array.ravel(), plain=True), self.constant(np.array(array.shape, np.int64), plain=True)
            if 0 in array.shape:
                self.initializers.append(numpy_helper.from_array(array, name))
            else:
                self.node("Reshape", [flat, shape], [name])
        elif self.parent is None and array.dtype.type in FLOATS:
            self.initializers.append(numpy_helper.from_array(array, name))
            self.inputs.append(value)
            self.overridable.append(value)
        else:
            self.initializers.append(numpy_helper.from_array(array, name))
        self.shared[key] = value
        return value

    def shape_constant(self, numbers):
        return self.constant(np.array(list(numbers), np.int64))

    def scalar(self, number, dtype):
        shape = self.rng.choice([(), (), (1,)])
        return self.constant(np.full(shape, number, dtype))

    def input(self, dtype, shape):
        if self.parent is not None:
            return self.constant(self.numbers(dtype, shape))
        value = Value(self.name("x"), dtype, tuple(shape))
        self.inputs.append(value)
        self.values.append(value)
        return value

    def random_shape(self, rank):
        if self.chance(0.03):
            return tuple(self.rng.choice([0, 1, 2]) for _ in range(rank))
        return tuple(self.rng.choice([1, 2, 3, 4]) for _ in range(rank))

    # --- picking and adding

    def pick(self, dtypes=FLOATS, rank=None, low=0, high=4, exact=False, where=None):
        """A value that fits; the newest is the likeliest, a new input comes when none does."""
        def fits(value):
            return (
                value.dtype in dtypes
                and (rank is None or value.rank == rank)
                and low <= value.rank <= high
                and (not exact or value.exact)
                and (where is None or where(value))
            )

        found = [value for value in self.visible() if fits(value)]
        if found and not self.chance(0.08):
            return found[-1] if self.chance(0.6) else self.rng.choice(found)
        wanted = rank if rank is not None else self.rng.randint(max(low, 1), max(min(high, 4), 1))
        dtype = dtypes[0] if self.chance(0.75) else self.rng.choice(dtypes)
        value = self.input(dtype, self.random_shape(wanted))
        return value if where is None or where(value) else None

    def visible(self):
        outer = self.parent.visible() if self.parent else []
        return outer + self.values

    def node(self, op_type, inputs, outputs, domain="", **attributes):
        names = [i.name if isinstance(i, Value) else i for i in inputs]
        while names and names[-1] == "":
            names.pop()
        self.read.update(names)
        attributes = {key: value for key, value in attributes.items() if value is not None}
        label = f"n{len(self.nodes)}" if self.chance(0.5) else ""
        self.nodes.append(helper.make_node(op_type, names, outputs, name=label, domain=domain, **attributes))

    def add(self, op_type, inputs, shape, dtype=None, exact=None, **attributes):
        """Adds a node with one output."""
        values = [i for i in inputs if isinstance(i, Value)]
        dtype = dtype or values[0].dtype
        taint = all(v.exact for v in values) if exact is None else exact and all(v.exact for v in values)
        value = Value(self.name(), dtype, tuple(shape), taint and dtype != np.float16, any(v.random for v in values))
        self.node(op_type, inputs, [value.name], **attributes)
        self.values.append(value)
        return value

    def axis(self, axis, rank):
        """An axis as either of its two numbers."""
        return axis - rank if self.chance(0.3) else axis

    def axes_operand(self, axes, first):
        """Axes as an attribute before opset `first`, as an input from then on: inputs and attributes."""
        if self.opset >= first:
            return [self.shape_constant(axes)], {}
        return [], {"axes": list(axes)}

    # --- operators

    def op_unary(self):
        x = self.pick()
        if not x:
            return
        smooth = ["Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Sin", "Cos", "Elu", "Selu", "HardSigmoid"]
        smooth += ["HardSwish"] * (self.opset >= 14) + ["Mish"] * (self.opset >= 18) + ["Gelu"] * (self.opset >= 20)
        keeping = ["Relu", "Abs", "Neg", "Identity", "LeakyRelu", "Relu", "Abs", "Neg"]
        jumping = ["Floor", "Ceil", "Round", "Sign"] if x.exact else []
        op = self.rng.choice(keeping * 2 + jumping + smooth)
        attributes = {"alpha": 0.25} if op == "LeakyRelu" else {}
        for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
            x = self.add(op, [x], x.shape, exact=op in keeping + jumping, **attributes)

    def op_integer_unary(self):
        x = self.pick(INTS + (np.bool_,))
        op = "Not" if x.dtype == np.bool_ else self.rng.choice(["Neg", "Abs", "Sign", "Identity"])
        if x.dtype != np.bool_ and self.opset >= 18 and self.chance(0.3):
            op = "BitwiseNot"
        for _ in range(self.rng.choice([1, 2, 3])):
            x = self.add(op, [x], x.shape)

    def other_operand(self, x, special):
        """Something that broadcasts with `x`, and the shape of the result."""
        kind = self.rng.random()
        if kind < 0.25:
            number = self.rng.choice(special)
            shape = self.rng.choice([(), (1,), (1,) * x.rank, (1,) * (x.rank + 1), x.shape])
            return self.constant(np.full(shape, number, x.dtype)), np.broadcast_shapes(shape, x.shape)
        if kind < 0.6:
            shape = [d if self.chance(0.6) else 1 for d in x.shape]
            shape = tuple(shape[self.rng.randint(0, len(shape)):]) if shape and self.chance(0.4) else tuple(shape)
            return self.constant(self.numbers(x.dtype, shape)), np.broadcast_shapes(shape, x.shape)

        def fits(value):
            try:
                np.broadcast_shapes(value.shape, x.shape)
            except ValueError:
                return False
            return True

        other = self.pick((x.dtype,), where=fits)
        if other is None:
            return self.constant(self.numbers(x.dtype, x.shape)), x.shape
        return other, np.broadcast_shapes(other.shape, x.shape)

    def op_binary(self):
        x = self.pick(FLOATS + INTS if self.chance(0.25) else FLOATS)
        op = self.rng.choice(["Add", "Sub", "Mul", "Add", "Mul", "Min", "Max", "Div", "Pow"])
        for _ in range(self.rng.choice([1, 1, 2])):
            if op in ("Div", "Pow"):
                integer = not x.is_float
                numbers = [1, 1, 2, 0] if op == "Pow" else [1, 1, 2, 4] + [-1, 0.5, 3] * (not integer)
                if op == "Pow" and x.is_float:
                    numbers.append(0.5)
                number = self.rng.choice(numbers)
                shape = self.rng.choice([(), (1,), (1,) * x.rank])
                y, result = self.constant(np.full(shape, number, x.dtype)), np.broadcast_shapes(shape, x.shape)
                x = self.add(op, [x, y], result, exact=number != 3 and number != 0.5 or op == "Div" and number != 3)
                continue
            special = {"Add": [0, 0, 1], "Sub": [0, 0, 1], "Mul": [1, 1, 0, -1], "Min": [0, 6], "Max": [0, -1]}[op]
            if op in ("Add", "Sub") and x.is_float:
                special = [*special, -0.0]
            y, result = self.other_operand(x, special)
            if int(np.prod(result)) > 2000:
                return
            operands = [x, y] if self.chance(0.7) else [y, x]
            x = self.add(op, operands, result)

    def op_variadic(self):
        x = self.pick()
        if x is None:
            return
        op = self.rng.choice(["Sum", "Mean", "Max", "Min"])
        operands = [x]
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            operands.append(self.pick((x.dtype,), where=lambda v: v.shape == x.shape) or x)
        self.add(op, operands, x.shape, exact=op != "Mean" or len(operands) != 3)

    def op_clip(self):
        x = self.pick()
        if x is None:
            return
        for _ in range(self.rng.choice([1, 2, 2, 3])):
            if self.chance(0.3):
                x = self.add("Relu", [x], x.shape)
                continue
            low = self.constant(np.array(self.rng.choice([-1, 0, -0.5, 1]), x.dtype)) if self.chance(0.8) else ""
            high = self.constant(np.array(self.rng.choice([6, 1, 0.5, 0]), x.dtype)) if self.chance(0.8) else ""
            x = self.add("Clip", [x, low, high], x.shape)

    def op_compare(self):
        x = self.pick(FLOATS + INTS, exact=True)
        if x is None:
            return
        y, result = self.other_operand(x, [0, 1])
        if not y.exact:
            return
        truth = self.add(self.rng.choice(["Equal", "Greater", "Less"]), [x, y], result, np.bool_)
        if self.chance(0.5):
            other = self.pick((np.bool_,), where=lambda v: v.shape == truth.shape) or truth
            truth = self.add(self.rng.choice(["And", "Or", "Xor"]), [truth, other], result)
        if self.chance(0.6):
            self.add("Where", [truth, x, y] if self.chance(0.5) else [truth, y, x], result, x.dtype)

    def op_cast(self):
        kinds = FLOATS + INTS + (np.bool_, np.uint8, np.int8)
        x = self.pick(kinds)
        for _ in range(self.rng.choice([1, 2, 2, 3])):
            if x.dtype in FLOATS:
                targets = FLOATS + (INTS if x.exact else ())
            elif x.dtype in INTS:
                targets = FLOATS + INTS + (np.bool_,)
            else:
                targets = kinds
            target = self.rng.choice(targets)
            if self.opset >= 15 and self.chance(0.2):
                like = self.pick((target,))
                if like is not None:
                    x = self.add("CastLike", [x, like], x.shape, target, exact=x.exact)
                    continue
            x = self.add("Cast", [x], x.shape, target, exact=x.exact, to=elem_type(target))

    def reshape_target(self, x, shape):
        """The operand of a `Reshape`: constant, or computed from the shape of the input."""
        entries = list(shape)
        if self.chance(0.5) and 0 not in entries and entries:
            entries[self.rng.randrange(len(entries))] = -1
        for axis in range(min(len(entries), x.rank)):
            if entries[axis] == x.shape[axis] and self.chance(0.2) and x.shape[axis] != 0:
                entries[axis] = 0
        if 0 in shape:
            entries = list(shape)
        if self.chance(0.6) or not entries:
            return self.shape_constant(entries)
        parts, whole = [], None
        for axis, entry in enumerate(entries):
            if axis < x.rank and entry == x.shape[axis] and self.chance(0.7):
                if self.opset >= 15 and self.chance(0.4):
                    parts.append(self.add("Shape", [x], (1,), np.int64, start=axis, end=axis + 1))
                    continue
                whole = whole or self.add("Shape", [x], (x.rank,), np.int64, exact=True)
                if self.chance(0.5):
                    parts.append(self.add("Gather", [whole, self.constant(np.array([axis], np.int64))], (1,)))
                else:
                    picked = self.add("Gather", [whole, self.constant(np.array(axis, np.int64))], ())
                    operands, attributes = self.axes_operand([0], 13)
                    parts.append(self.add("Unsqueeze", [picked, *operands], (1,), **attributes))
            else:
                parts.append(self.shape_constant([entry]))
        return self.add("Concat", parts, (len(entries),), np.int64, axis=0)

    def op_reshape(self):
        x = self.pick(FLOATS + INTS)
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            way = self.rng.random()
            size = int(np.prod(x.shape))
            if way < 0.5:
                shape = list(x.shape) if self.chance(0.2) else self.factors(size)
                zeros = 1 if self.opset >= 14 and 0 in shape else None
                if 0 in shape and not zeros:
                    shape = list(x.shape)
                x = self.add("Reshape", [x, self.reshape_target(x, shape)], shape, allowzero=zeros)
            elif way < 0.65 and x.rank:
                axis = self.rng.randint(0, x.rank)
                shape = (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))
                x = self.add("Flatten", [x], shape, axis=axis - x.rank if axis < x.rank and self.chance(0.2) else axis)
            elif way < 0.82 and x.rank < 5:
                axis = self.rng.randint(0, x.rank)
                operands, attributes = self.axes_operand([axis], 13)
                shape = x.shape[:axis] + (1,) + x.shape[axis:]
                x = self.add("Unsqueeze", [x, *operands], shape, **attributes)
            else:
                ones = [axis for axis, d in enumerate(x.shape) if d == 1]
                if not ones:
                    continue
                if self.chance(0.2):
                    self.counter[1] = True
                    x = self.add("Squeeze", [x], [d for d in x.shape if d != 1])
                    continue
                axis = self.rng.choice(ones)
                operands, attributes = self.axes_operand([self.axis(axis, x.rank) if self.opset >= 11 else axis], 13)
                x = self.add("Squeeze", [x, *operands], x.shape[:axis] + x.shape[axis + 1:], **attributes)

    def factors(self, size):
        """A shape of that many elements."""
        if size == 0:
            return [0, self.rng.choice([1, 2])]
        shape = []
        while size > 1 and len(shape) < 3:
            divisor = self.rng.choice([d for d in range(1, size + 1) if size % d == 0])
            shape.append(divisor)
            size //= divisor
        return [*shape, size] if size > 1 or not shape else shape

    def op_transpose(self):
        x = self.pick(FLOATS + INTS, low=1)
        for _ in range(self.rng.choice([1, 2, 2, 3])):
            perm = list(range(x.rank))
            if self.chance(0.8):
                self.rng.shuffle(perm)
            if self.chance(0.15):
                x = self.add("Transpose", [x], x.shape[::-1])
                continue
            x = self.add("Transpose", [x], [x.shape[axis] for axis in perm], perm=perm)

    def op_expand(self):
        x = self.pick(FLOATS + INTS)
        if self.chance(0.4) and x.rank:
            repeats = [self.rng.choice([1, 1, 2]) for _ in x.shape]
            self.add("Tile", [x, self.shape_constant(repeats)], [d * r for d, r in zip(x.shape, repeats)])
            return
        target = [self.rng.choice([d, d, 1]) if d != 1 else self.rng.choice([1, 1, 2]) for d in x.shape]
        target = [1] * self.rng.choice([0, 0, 1]) + target if x.rank < 4 else target
        shape = np.broadcast_shapes(tuple(target), x.shape)
        source = self.add("Shape", [x], (x.rank,), np.int64, exact=True) if self.chance(0.3) else None
        self.add("Expand", [x, source or self.shape_constant(target)], x.shape if source else shape)

    def op_concat_split(self):
        x = self.pick(FLOATS + INTS, low=1)
        axis = self.rng.randrange(x.rank)
        if self.chance(0.5):
            def joins(v):
                return v.rank == x.rank and all(a == b for i, (a, b) in enumerate(zip(v.shape, x.shape)) if i != axis)

            parts = [x] + [self.pick((x.dtype,), where=joins) or x for _ in range(self.rng.choice([0, 0, 1, 2]))]
            length = sum(part.shape[axis] for part in parts)
            x = self.add("Concat", parts, x.shape[:axis] + (length,) + x.shape[axis + 1:], axis=self.axis(axis, x.rank))
            if self.chance(0.5):
                return
            sizes = [part.shape[axis] for part in parts]
        else:
            length = x.shape[axis]
            cut = self.rng.randint(0, length) if length else 0
            sizes = [length] if self.chance(0.3) else [cut, length - cut]
        self.split(x, axis, sizes)

    def split(self, x, axis, sizes):
        outputs = [Value(self.name(), x.dtype, x.shape[:axis] + (size,) + x.shape[axis + 1:], x.exact, x.random) for size in sizes]
        names = [o.name for o in outputs]
        even = len(set(sizes)) == 1
        if self.opset >= 18 and even and self.chance(0.4):
            self.node("Split", [x], names, axis=axis, num_outputs=len(sizes))
        elif even and self.opset < 18 and self.chance(0.4):
            self.node("Split", [x], names, axis=axis)
        elif self.opset >= 13:
            self.node("Split", [x, self.shape_constant(sizes)], names, axis=axis)
        else:
            self.node("Split", [x], names, axis=axis, split=sizes)
        self.values += outputs

    def op_slice(self):
        x = self.pick(FLOATS + INTS, low=1)
        for _ in range(self.rng.choice([1, 1, 2])):
            axis = self.rng.randrange(x.rank)
            length = x.shape[axis]
            start, end, step = 0, self.rng.choice([length, 2**63 - 1, length + 3]), 1
            if self.chance(0.5):
                start, end, step = self.rng.randint(-length - 1, length), self.rng.randint(-length, length + 1), self.rng.choice([1, 1, 2, -1])
            if self.chance(0.1):
                start, end, step = -1, -(2**63) + 1, -1
            taken = len(range(length)[slice(start, None if end <= -(2**62) else end, step)])
            operands = [self.shape_constant([start]), self.shape_constant([end]), self.shape_constant([self.axis(axis, x.rank)])]
            if step != 1 or self.chance(0.4):
                operands.append(self.shape_constant([step]))
            elif axis == 0 and self.chance(0.3):
                operands.pop()
            x = self.add("Slice", [x, *operands], x.shape[:axis] + (taken,) + x.shape[axis + 1:])

    def op_gather(self):
        x = self.pick(FLOATS + INTS, low=1, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        axis = self.rng.randrange(x.rank)
        shape = self.rng.choice([(), (1,), (2,), (x.shape[axis],)])
        indices = self.data.integers(-x.shape[axis], x.shape[axis], shape)
        if shape == (x.shape[axis],) and self.chance(0.5):
            indices = np.arange(x.shape[axis])
        indices = self.constant(np.array(indices, self.rng.choice([np.int64, np.int32])))
        self.add("Gather", [x, indices], x.shape[:axis] + shape + x.shape[axis + 1:], axis=self.axis(axis, x.rank))

    def op_pad(self):
        x = self.pick(low=1)
        if x is None:
            return
        self.pad(x, [self.rng.choice([0, 0, 0, 1, 2]) for _ in range(2 * x.rank)])

    def pad(self, x, amounts):
        mode = "constant" if self.chance(0.85) else "edge"
        operands = [self.shape_constant(amounts)]
        if self.chance(0.6) and mode == "constant":
            operands.append(self.constant(np.array(self.rng.choice([0, 0, 0, 1]), x.dtype)))
        if self.opset >= 18 and self.chance(0.25):
            operands += [""] * (2 - len(operands)) + [self.shape_constant(range(x.rank))]
        half = x.rank
        shape = [d + amounts[i] + amounts[half + i] for i, d in enumerate(x.shape)]
        return self.add("Pad", [x, *operands], shape, mode=mode if mode != "constant" or self.chance(0.3) else None)

    def op_reduce(self):
        x = self.pick(FLOATS if self.chance(0.8) else INTS, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        exact = ["ReduceSum", "ReduceMax", "ReduceMin", "ReduceSumSquare", "ReduceL1"]
        op = self.rng.choice(exact * 2 + ["ReduceMean", "ReduceProd", "ReduceL2", "ReduceLogSumExp"])
        if not x.is_float and op not in exact:
            op = "ReduceSum"
        keep = self.rng.choice([0, 1])
        axes = sorted(self.rng.sample(range(x.rank), self.rng.randint(0, x.rank)))
        first = 13 if op == "ReduceSum" else 18
        noop = 1 if not axes and self.opset >= first and self.chance(0.5) else None
        operands, attributes = self.axes_operand([self.axis(a, x.rank) for a in axes], first) if axes else ([], {})
        gone = axes or ([] if noop else list(range(x.rank)))
        shape = [1 if i in gone else d for i, d in enumerate(x.shape) if keep or i not in gone]
        if noop and op not in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd"):
            noop, shape = None, [1] * x.rank if keep else []
        self.add(op, [x, *operands], shape, exact=op in exact, keepdims=keep, noop_with_empty_axes=noop, **attributes)

    def op_arg(self):
        x = self.pick(low=1, exact=True, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        axis = self.rng.randrange(x.rank)
        shape = x.shape[:axis] + (1,) + x.shape[axis + 1:]
        self.add(self.rng.choice(["ArgMax", "ArgMin"]), [x], shape, np.int64, axis=axis, keepdims=1)

    def op_softmax(self):
        x = self.pick(low=1)
        if x is None:
            return
        axis = self.rng.choice([None, self.axis(self.rng.randrange(x.rank), x.rank)])
        self.add(self.rng.choice(["Softmax", "LogSoftmax"]), [x], x.shape, exact=False, axis=axis)

    def op_normalization(self):
        x = self.pick(low=2, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        kind = self.rng.random()
        if self.opset >= 17 and kind < 0.5 and x.dtype != np.float16:
            scale, bias = (self.constant(self.numbers(x.dtype, x.shape[-1:])) for _ in range(2))
            self.add("LayerNormalization", [x, scale, bias][: self.rng.choice([2, 3])], x.shape, exact=False, axis=-1)
        elif kind < 0.75 and x.rank >= 3 and x.dtype == np.float32:
            scale, bias = (self.constant(self.numbers(x.dtype, x.shape[1:2])) for _ in range(2))
            self.add("InstanceNormalization", [x, scale, bias], x.shape, exact=False)
        else:
            self.batch_normalization(x)

    def batch_normalization(self, x):
        channels = x.shape[1]
        scale, bias, mean = (self.constant(self.numbers(x.dtype, (channels,))) for _ in range(3))
        variance = self.constant(np.abs(self.numbers(x.dtype, (channels,))) + x.dtype(0.25))
        epsilon = self.rng.choice([None, 1e-3, 0.0])
        return self.add("BatchNormalization", [x, scale, bias, mean, variance], x.shape, exact=False, epsilon=epsilon)

    # --- linear operators and what follows them

    def op_conv(self):
        x = self.pick((np.float32,), low=3, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        spatial = x.rank - 2
        if self.chance(0.3):
            amounts = [0, 0] + [self.rng.choice([0, 1, 2]) for _ in range(spatial)]
            amounts += [0, 0] + [self.rng.choice([0, 1]) for _ in range(spatial)]
            if self.chance(0.1):
                amounts[0] = 1
            x = self.pad(x, amounts)
        if self.chance(0.25):
            x = self.batch_normalization(x)
        group = self.rng.choice([1, 1, 1, x.shape[1]])
        kernel = [self.rng.choice([1, 1, 2, 3]) for _ in range(spatial)]
        strides = [self.rng.choice([1, 1, 2]) for _ in range(spatial)]
        pads = [self.rng.choice([0, 0, 1]) for _ in range(2 * spatial)]
        x = self.transposed(x, group, kernel, strides, pads) if self.chance(0.3) else self.conv(x, group, kernel, strides, pads)
        if x is not None:
            self.follow(x)

    def conv(self, x, group, kernel, strides, pads):
        channels = group * self.rng.choice([1, 2, 3])
        weight = self.constant(self.numbers(x.dtype, (channels, x.shape[1] // group, *kernel), -1, 1))
        bias = [self.constant(self.numbers(x.dtype, (channels,)))] if self.chance(0.5) else []
        auto = self.rng.choice([None, None, None, None, "VALID", "SAME_UPPER", "NOTSET"])
        half = len(kernel)
        if auto == "SAME_UPPER":
            size = [-(-d // s) for d, s in zip(x.shape[2:], strides)]
        else:
            around = [0] * half if auto == "VALID" else [pads[i] + pads[half + i] for i in range(half)]
            size = [(d + a - k) // s + 1 for d, a, k, s in zip(x.shape[2:], around, kernel, strides)]
        if any(d < 1 for d in size):
            return None
        return self.add(
            "Conv",
            [x, weight, *bias],
            (x.shape[0], channels, *size),
            group=group if group != 1 or self.chance(0.3) else None,
            kernel_shape=kernel if self.chance(0.6) else None,
            strides=strides,
            pads=pads if auto in (None, "NOTSET") else None,
            auto_pad=auto,
        )

    def transposed(self, x, group, kernel, strides, pads):
        per_group = self.rng.choice([1, 2])
        weight = self.constant(self.numbers(x.dtype, (x.shape[1], per_group, *kernel), -1, 1))
        bias = [self.constant(self.numbers(x.dtype, (per_group * group,)))] if self.chance(0.5) else []
        extra = [self.rng.choice([0, s - 1]) for s in strides]
        half = len(kernel)
        around = [pads[i] + pads[half + i] for i in range(half)]
        size = [(d - 1) * s + k + e - a for d, s, k, e, a in zip(x.shape[2:], strides, kernel, extra, around)]
        if any(d < 1 for d in size):
            return None
        shape = (x.shape[0], per_group * group, *size)
        return self.add("ConvTranspose", [x, weight, *bias], shape, group=group, strides=strides, pads=pads, output_padding=extra)

    def follow(self, x):
        """A chain of what fusions fold into a linear operator, and of near misses."""
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            ways = ["shift", "shift", "scale", "scale", "normalize", "activate", "read", "wrong"]
            way = self.rng.choice(ways)
            if way == "normalize" and x.rank >= 2:
                x = self.batch_normalization(x)
            elif way == "activate":
                op = self.rng.choice(["Relu", "Sigmoid", "Tanh", "LeakyRelu"])
                x = self.add(op, [x], x.shape, exact=op == "Relu")
            elif way == "read":
                self.pinned.append(x)
            elif way in ("shift", "scale"):
                op = self.rng.choice(["Add", "Sub"] if way == "shift" else ["Mul", "Div"])
                per_channel = (x.shape[1],) + (1,) * (x.rank - 2)
                shape = self.rng.choice([per_channel, (1, *per_channel), (), (1,), (1,) * x.rank])
                numbers = self.numbers(x.dtype, shape)
                if op == "Div":
                    numbers = np.where(np.abs(numbers) < 1, x.dtype(2), np.sign(numbers) * 2).astype(x.dtype)
                constant = self.constant(numbers)
                swapped = op != "Div" and self.chance(0.3)
                x = self.add(op, [constant, x] if swapped else [x, constant], x.shape, x.dtype)
            elif way == "wrong":
                shape = self.rng.choice([x.shape, (1,) * (x.rank - 1) + x.shape[-1:], (2, *x.shape), (2, 1, *(1,) * (x.rank - 2))])
                try:
                    result = np.broadcast_shapes(shape, x.shape)
                except ValueError:
                    continue
                x = self.add(self.rng.choice(["Add", "Mul"]), [x, self.constant(self.numbers(x.dtype, shape))], result)
                if len(result) > 4:
                    return

    def op_gemm(self):
        x = self.pick((np.float32, np.float32, np.float64), rank=2, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        columns, flip = self.rng.choice([1, 2, 3, 4]), [self.rng.choice([0, 0, 1]) for _ in range(2)]
        rows, inner = x.shape[::-1] if flip[0] else x.shape
        weight = self.constant(self.numbers(x.dtype, (columns, inner) if flip[1] else (inner, columns), -1, 1))
        shapes = [(columns,), (1, columns), (rows, columns), (rows, 1), (1,), (), (1, 1)]
        bias = [self.constant(self.numbers(x.dtype, self.rng.choice(shapes)))] if self.chance(0.7) else []
        numbers = {name: self.rng.choice([None, None, 0.5, 2.0]) for name in ("alpha", "beta")}
        y = self.add("Gemm", [x, weight, *bias], (rows, columns), transA=flip[0] or None, transB=flip[1] or None, **numbers)
        self.follow(y)

    def op_matmul(self):
        high = self.rng.choice([2, 4])
        x = self.pick((np.float32, np.float32, np.float64, np.int32), low=2, high=high, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        columns = self.rng.choice([1, 2, 3])
        batch = self.rng.choice([(), (), x.shape[:-2]])
        weight = self.constant(self.numbers(x.dtype, (*batch, x.shape[-1], columns), -1, 1))
        y = self.add("MatMul", [x, weight], (*x.shape[:-1], columns))
        if not y.is_float:
            return
        if self.chance(0.6):
            shape = self.rng.choice([(columns,), (1, columns), (1,) * (y.rank - 1) + (columns,), (), y.shape])
            y = self.add("Add", [y, self.constant(self.numbers(x.dtype, shape))], np.broadcast_shapes(shape, y.shape))
        if y.rank >= 2 and y.shape[1] == columns:
            self.follow(y)

    def op_integer_conv(self):
        x = self.input(np.uint8, (1, 2, 4, 4))
        if x.constant:
            return
        if self.chance(0.5):
            amounts = self.shape_constant([0, 0, 1, 1, 0, 0, 1, 0])
            x = self.add("Pad", [x, amounts], (1, 2, 6, 5))
        weight = self.constant(self.numbers(np.uint8, (3, 2, 2, 2)))
        zero = [self.constant(np.array(self.rng.choice([0, 0, 1]), np.uint8))] if self.chance(0.5) else []
        shape = (1, 3, x.shape[2] - 1, x.shape[3] - 1)
        self.add("ConvInteger", [x, weight, *zero], shape, np.int32)

    def op_quantized(self):
        """Weights or what is computed, quantized and dequantized, maybe twice, maybe limited between."""
        if self.opset < 13:
            return None
        if self.chance(0.5):
            x = self.constant(self.numbers(np.float32, self.random_shape(self.rng.randint(1, 3)), -70, 70))
        else:
            x = self.pick((np.float32,), low=1, exact=True)
        if x is None or (x.constant and not x.rank):
            return None
        axis = self.rng.randrange(x.rank)
        whole = self.chance(0.5) or not x.constant or x.shape[axis] == 0
        shape = self.rng.choice([(), (1,)]) if whole else (x.shape[axis],)
        dtype = self.rng.choice([np.int8, np.uint8])

        def parameters():
            scale = np.asarray(self.data.choice([0.25, 0.5, 1.0, 0.3], shape), np.float32)
            zero = np.asarray(self.data.integers(0, 4, shape), dtype)
            return [self.constant(scale, plain=True), self.constant(zero, plain=True)]

        along = {} if whole else {"axis": self.axis(axis, x.rank)}
        known, y = parameters(), x
        for turn in range(self.rng.choice([1, 1, 2])):
            known = parameters() if turn and self.chance(0.4) else known
            y = self.add("QuantizeLinear", [y, *known], x.shape, dtype, exact=False, **along)
            if self.chance(0.2):
                bounds = [self.constant(np.array(bound, dtype), plain=True) for bound in (1, 100)]
                y = self.add("Clip", [y, *bounds], x.shape, dtype, exact=False)
            y = self.add("DequantizeLinear", [y, *known], x.shape, np.float32, exact=False, **along)
        return y

    def op_pool(self):
        x = self.pick((np.float32, np.float32, np.float64), low=3, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        spatial = x.rank - 2
        if self.chance(0.2):
            self.add(self.rng.choice(["GlobalAveragePool", "GlobalMaxPool"]), [x], x.shape[:2] + (1,) * spatial, exact=False)
            return
        if self.chance(0.4):
            amounts = [0, 0] + [self.rng.choice([0, 1]) for _ in range(spatial)]
            x = self.pad(x, amounts + [0, 0] + [self.rng.choice([0, 1]) for _ in range(spatial)])
        least = self.rng.choice([1, 1, 2])
        kernel = [self.rng.choice([least, least, 3]) for _ in range(spatial)]
        strides = [self.rng.choice([1, 1, 2]) for _ in range(spatial)]
        pads = [self.rng.choice([0, k - 1]) for k in kernel * 2] if self.chance(0.4) else [0] * (2 * spatial)
        ceil = self.rng.choice([None, None, None, 0, 1])
        size = [d + pads[i] + pads[spatial + i] - kernel[i] + (strides[i] - 1 if ceil else 0) for i, d in enumerate(x.shape[2:])]
        size = [d // s + 1 for d, s in zip(size, strides)]
        if any(d < 1 for d in size):
            return
        op = self.rng.choice(["AveragePool", "AveragePool", "MaxPool"])
        include = self.rng.choice([None, 0, 1, 1]) if op == "AveragePool" else None
        strides = strides if self.chance(0.8) or any(s != 1 for s in strides) else None
        y = self.add(
            op, [x], x.shape[:2] + tuple(size), exact=op == "MaxPool", kernel_shape=kernel, strides=strides, pads=pads,
            count_include_pad=include, ceil_mode=ceil,
        )
        if op == "MaxPool" and self.chance(0.2):
            self.nodes[-1].output.append(self.name("unread"))
        return y

    def op_resize(self):
        x = self.pick((np.float32,), low=3, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        factor = self.rng.choice([1, 1, 2])
        scales = [1, 1] + [factor] * (x.rank - 2)
        shape = tuple(d * s for d, s in zip(x.shape, scales))
        roi = "" if self.opset >= 13 else self.constant(np.zeros(0, np.float32), plain=True)
        if self.chance(0.5):
            operands = [roi, self.constant(np.array(scales, np.float32))]
        elif self.opset >= 13:
            operands = [roi, "", self.shape_constant(shape)]
        else:
            operands = [roi, self.constant(np.zeros(0, np.float32), plain=True), self.shape_constant(shape)]
        where = self.rng.choice(["half_pixel", "asymmetric", "align_corners"])
        self.add("Resize", [x, *operands], shape, exact=False, mode=self.rng.choice(["nearest", "linear"]) if x.rank == 4 else "nearest",
                 coordinate_transformation_mode=where)

    def op_dropout(self):
        x = self.pick()
        if x is None:
            return
        if self.opset >= 12:
            operands = self.rng.choice([[], [self.constant(np.array(0.5, np.float32))]])
            if operands and self.chance(0.3):
                operands = [self.constant(np.array(0.0, np.float32), plain=True), self.constant(np.array(True))]
            y = self.add("Dropout", [x, *operands], x.shape)
        else:
            y = self.add("Dropout", [x], x.shape, ratio=0.5)
        if self.chance(0.3):
            mask = Value(self.name("mask"), np.bool_, x.shape)
            self.nodes[-1].output.append(mask.name)
            if self.chance(0.5):
                self.values.append(mask)
        return y

    # --- patterns

    def number(self, value, dtype):
        """The constant of a pattern, rarely another one."""
        return self.scalar(value * (1.25 if self.chance(0.07) else 1), dtype)

    def op_gelu(self):
        x = self.pick(FLOATS)
        if x is None:
            return
        def op(kind, *operands):
            shape = np.broadcast_shapes(*(o.shape for o in operands))
            return self.add(kind, self.rng.sample(operands, len(operands)) if kind in ("Add", "Mul") else operands, shape, exact=False)

        if self.chance(0.6):
            inner = op("Div", x, self.number(2**0.5, x.dtype)) if self.chance(0.7) else op("Mul", x, self.number(0.5**0.5, x.dtype))
            one = op("Add", op("Erf", inner), self.number(1, x.dtype))
        else:
            cube = op("Pow", x, self.number(3, x.dtype)) if self.chance(0.6) else op("Mul", op("Mul", x, x), x)
            sum_ = op("Add", x, op("Mul", cube, self.number(0.044715, x.dtype)))
            one = op("Add", op("Tanh", op("Mul", sum_, self.number((2 / np.pi) ** 0.5, x.dtype))), self.number(1, x.dtype))
        order = self.rng.random()
        half = self.number(0.5, x.dtype)
        if order < 0.4:
            op("Mul", op("Mul", x, one), half)
        elif order < 0.7:
            op("Mul", op("Mul", x, half), one)
        else:
            op("Mul", x, op("Mul", one, half))

    def op_layer_normalization(self):
        x = self.pick((np.float32, np.float32, np.float64, np.float16), low=2, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        axes = [-1] if self.chance(0.8) else [self.axis(x.rank - 2, x.rank)]
        axis = axes[0] % x.rank
        reduced = x.shape[:axis] + (1,) + x.shape[axis + 1:]

        def mean(value):
            operands, attributes = self.axes_operand(axes, 18)
            return self.add("ReduceMean", [value, *operands], reduced, exact=False, keepdims=1, **attributes)

        if self.chance(0.25):
            centered = x
        else:
            centered = self.add("Sub", [x, mean(x)], x.shape, exact=False)
        two = self.number(2, x.dtype)
        square = self.add("Pow", [centered, two], np.broadcast_shapes(two.shape, x.shape), exact=False) if self.chance(0.6) else self.add("Mul", [centered, centered], x.shape, exact=False)
        epsilon = self.number(1e-3, x.dtype)
        root = self.add("Sqrt", [self.add("Add", [mean(square), epsilon], reduced, exact=False)], reduced, exact=False)
        if self.chance(0.7):
            y = self.add("Div", [centered, root], x.shape, exact=False)
        else:
            y = self.add("Mul", [centered, self.add("Reciprocal", [root], reduced, exact=False)], x.shape, exact=False)
        for kind in ("Mul", "Add"):
            if self.chance(0.75):
                shape = self.rng.choice([x.shape[-1:], x.shape[-1:], x.shape[axis:], (), (1,)])
                constant = self.constant(self.numbers(x.dtype, shape))
                y = self.add(kind, [y, constant] if self.chance(0.7) else [constant, y], x.shape, x.dtype, exact=False)

    def op_hard_swish(self):
        x = self.pick(FLOATS)
        if x is None:
            return
        kind = self.rng.random()
        if kind < 0.3:
            gate = self.add("HardSigmoid", [x], x.shape, exact=False, alpha=self.rng.choice([1 / 6, 1 / 6, 0.2]), beta=0.5)
        elif kind < 0.5:
            gate = self.add("Sigmoid", [x], x.shape, exact=False)
        elif kind < 0.6:
            gate = self.add("Tanh", [self.add("Softplus", [x], x.shape, exact=False)], x.shape, exact=False)
        else:
            three = self.number(3, x.dtype)
            shifted = self.add("Add", [x, three], np.broadcast_shapes(three.shape, x.shape))
            low, high = self.constant(np.array(0, x.dtype)), self.constant(np.array(6, x.dtype))
            clipped = self.add("Clip", [shifted, low, high], shifted.shape)
            if self.chance(0.5):
                gate = self.add("Div", [clipped, self.number(6, x.dtype)], clipped.shape or (), exact=False)
            else:
                product = self.add("Mul", [x, clipped], np.broadcast_shapes(x.shape, clipped.shape))
                self.add("Div", [product, self.number(6, x.dtype)], product.shape, exact=False)
                return
        self.add("Mul", [x, gate] if self.chance(0.5) else [gate, x], np.broadcast_shapes(x.shape, gate.shape), exact=False)

    def op_attention(self):
        q = self.pick((np.float32,), low=2, high=4, where=lambda v: 0 not in v.shape)
        if q is None:
            return
        perm = [*range(q.rank - 2), q.rank - 1, q.rank - 2]
        flipped = q.shape[:-2] + q.shape[:-3:-1]
        k = self.add("Transpose", [q], flipped, perm=perm)
        if self.chance(0.3):
            k = self.add("Transpose", [k], q.shape, perm=perm)
            k = self.add("Transpose", [k], flipped, perm=perm)
        scores = self.add("MatMul", [q, k], q.shape[:-1] + q.shape[-2:-1])
        scale = self.number(0.5, q.dtype)
        scores = self.add(self.rng.choice(["Mul", "Div"]), [scores, scale], np.broadcast_shapes(scores.shape, scale.shape))
        weights = self.add("Softmax", [scores], scores.shape, exact=False, axis=-1 if self.opset >= 13 else scores.rank - 1)
        self.add("MatMul", [weights, q], q.shape, exact=False)

    def op_repeat(self):
        """A node once more: same operator, same inputs, perhaps in another order."""
        candidates = [n for n in self.nodes if len(n.output) == 1 and n.op_type not in ("Constant", "If", "Loop", "Scan")]
        if not candidates:
            return
        node = self.rng.choice(candidates[-6:])
        old = next((v for v in self.values if v.name == node.output[0]), None)
        if old is None:
            return
        copy = type(node).FromString(node.SerializeToString())
        copy.name, copy.output[0] = "", self.name()
        if copy.op_type in ("Add", "Mul", "Max", "Min") and self.chance(0.5):
            swapped = list(copy.input)[::-1]
            del copy.input[:]
            copy.input.extend(swapped)
        if self.chance(0.3) and copy.attribute:
            del copy.attribute[:]
            return
        self.nodes.append(copy)
        new = replace(old, name=copy.output[0])
        self.values.append(new)
        if new.is_float and not new.random and self.chance(0.5):
            self.read.update([old.name, new.name])
            self.add(self.rng.choice(["Add", "Mul", "Sub"]), [old, new], old.shape)

    def op_random(self):
        x = self.pick((np.float32,))
        if x is None or self.parent is not None:
            return
        for _ in range(2):
            value = self.add("RandomNormalLike", [x], x.shape, exact=False, seed=1.0 if self.chance(0.3) else None)
            self.values[-1] = replace(value, random=True)
            self.pinned.append(self.values[-1])

    def op_shape(self):
        x = self.pick(FLOATS)
        if x is None:
            return
        kind = self.rng.random()
        if kind < 0.2:
            self.add("Size", [x], (), np.int64, exact=True)
            return
        shape = self.add("Shape", [x], (x.rank,), np.int64, exact=True)
        if kind < 0.4:
            value = numpy_helper.from_array(self.numbers(np.float32, (1,)), "")
            self.add("ConstantOfShape", [shape], x.shape, np.float32, exact=True, value=value)
        elif kind < 0.6 and x.rank and 0 not in x.shape:
            picked = self.add("Gather", [shape, self.constant(np.array(0, np.int64))], ())
            zero, one = self.constant(np.array(0, np.int64)), self.constant(np.array(1, np.int64))
            self.add("Range", [zero, picked, one], (x.shape[0],), np.int64)
        elif kind < 0.8:
            self.add("Cast", [shape], (x.rank,), np.float32, exact=True, to=TensorProto.FLOAT)
        elif x.rank:
            self.add(self.rng.choice(["Mul", "Add"]), [shape, self.constant(np.array(self.rng.choice([0, 1, 2]), np.int64))], (x.rank,))

    def op_recurrent(self):
        if self.parent is not None:
            return
        x = self.pick((np.float32,), rank=3, where=lambda v: 0 not in v.shape)
        if x is None:
            return
        op, gates = self.rng.choice([("LSTM", 4), ("GRU", 3), ("RNN", 1)])
        length, batch, size = x.shape
        w = self.constant(self.numbers(np.float32, (1, gates * 2, size), -1, 1))
        r = self.constant(self.numbers(np.float32, (1, gates * 2, 2), -1, 1))
        initial = [np.zeros((1, batch, 2), np.float32) for _ in range(2 if op == "LSTM" else 1)]
        if self.chance(0.2):
            initial[0] = self.numbers(np.float32, initial[0].shape)
        states = [self.constant(state) for state in initial]
        y = self.add(op, [x, w, r, "", "", *states], (length, 1, batch, 2), exact=False, hidden_size=2)
        if self.chance(0.5):
            self.nodes[-1].output.append(self.name("unread"))
        return y

    def op_sequence(self):
        x = self.pick(FLOATS, low=1, where=lambda v: 0 not in v.shape)
        if x is None or self.parent is not None:
            return
        axis = self.rng.randrange(x.rank)
        length = x.shape[axis]
        size = self.rng.randint(1, length)
        sizes = [min(size, length - at) for at in range(0, length, size)]
        if self.chance(0.6):
            split = self.constant(np.array(size, np.int64))
        else:
            split = self.shape_constant(sizes)
        sequence = self.name("s")
        self.node("SplitToSequence", [x, split], [sequence], axis=axis)
        for at in self.rng.sample(range(len(sizes)), self.rng.randint(1, len(sizes))):
            index = self.constant(np.array(self.axis(at, len(sizes)), np.int64))
            part = Value(self.name(), x.dtype, x.shape[:axis] + (sizes[at],) + x.shape[axis + 1:], x.exact and x.dtype != np.float16, x.random)
            self.node("SequenceAt", [sequence, index], [part.name])
            self.values.append(part)

    # --- subgraphs

    def body(self, count):
        graph = Graph(self.rng, self.data, self.opset, self)
        graph.grow(count)
        return graph

    def finish_body(self, graph, inputs, outputs):
        made = helper.make_graph(
            graph.nodes, self.name("g"), inputs, [helper.make_tensor_value_info(o.name, elem_type(o.dtype), None) for o in outputs],
            initializer=graph.initializers,
        )
        self.read.update(graph.read)
        return made

    def op_if(self):
        if self.parent is not None and self.parent.parent is not None:
            return
        if self.chance(0.5):
            condition = self.input(np.bool_, ()) if self.parent is None else self.constant(np.array(True))
        else:
            condition = self.constant(np.array(self.chance(0.5)))
        branches, outputs = [], []
        x = self.pick((np.float32,))
        if x is None:
            return
        for _ in range(2):
            branch = self.body(self.rng.randint(0, 3))
            own = [v for v in branch.values if v.dtype == np.float32 and v.rank == x.rank and not v.random]
            source = own[-1] if own else x
            out = branch.add(self.rng.choice(["Identity", "Neg", "Abs"]), [source], source.shape)
            branches.append(self.finish_body(branch, [], [out]))
            outputs.append(out)
        if outputs[0].shape != outputs[1].shape:
            return
        y = Value(self.name(), np.float32, outputs[0].shape, all(o.exact for o in outputs), any(o.random for o in outputs))
        self.node("If", [condition], [y.name], then_branch=branches[0], else_branch=branches[1])
        self.values.append(y)

    def op_loop(self):
        x = self.pick((np.float32,))
        if x is None or self.parent is not None:
            return
        body = Graph(self.rng, self.data, self.opset, self)
        step, condition, state = (self.name("l") for _ in range(3))
        carried = Value(state, np.float32, x.shape, False)
        body.values.append(carried)
        body.grow(self.rng.randint(0, 2))
        going = Value(self.name("l"), np.bool_, ())
        body.node("Identity", [condition], [going.name])
        own = [v for v in body.values if v.dtype == np.float32 and v.shape == x.shape]
        out = body.add("Tanh", [self.rng.choice(own)], x.shape, exact=False)
        scanned = [body.add("Abs", [out], x.shape, exact=False)] if self.chance(0.5) else []
        inputs = [
            helper.make_tensor_value_info(step, TensorProto.INT64, []),
            helper.make_tensor_value_info(condition, TensorProto.BOOL, []),
            helper.make_tensor_value_info(state, TensorProto.FLOAT, None),
        ]
        graph = self.finish_body(body, inputs, [going, out, *scanned])
        trips = self.constant(np.array(self.rng.choice([0, 1, 3]) if not scanned else 2, np.int64))
        names = [self.name() for _ in range(1 + len(scanned))]
        self.node("Loop", [trips, "" if self.chance(0.5) else self.constant(np.array(True)), x], names, body=graph)
        self.values.append(Value(names[0], np.float32, x.shape, False, x.random or out.random))
        if scanned:
            self.values.append(Value(names[1], np.float32, (2, *x.shape), False, x.random or out.random))

    # --- the whole

    OPERATORS = {
        "unary": 8, "integer_unary": 3, "binary": 14, "variadic": 4, "clip": 7, "compare": 4, "cast": 7, "reshape": 12,
        "transpose": 7, "expand": 6, "concat_split": 7, "slice": 6, "gather": 5, "pad": 4, "reduce": 5, "arg": 1, "softmax": 3,
        "normalization": 4, "conv": 18, "gemm": 9, "matmul": 8, "integer_conv": 1, "pool": 7, "resize": 4, "dropout": 4,
        "gelu": 4, "layer_normalization": 4, "hard_swish": 4, "attention": 2, "repeat": 8, "random": 1, "shape": 5,
        "recurrent": 2, "sequence": 2, "if": 3, "loop": 2, "quantized": 4,
    }

    def grow(self, count):
        names, weights = list(self.OPERATORS), list(self.OPERATORS.values())
        last = None
        for _ in range(count):
            kind = last if last and self.chance(0.2) else self.rng.choices(names, weights)[0]
            getattr(self, f"op_{kind}")()
            last = kind


def generate(seed):
    """The model of that seed, with feeds; none if the attempt made nothing."""
    rng, data = random.Random(seed), np.random.default_rng(seed)
    opset = rng.choice(OPSETS)
    graph = Graph(rng, data, opset)
    graph.grow(rng.randint(1, 9))
    made = [value for value in graph.values if value.name not in {i.name for i in graph.inputs}]
    if not made:
        return None
    unread = [value for value in made if value.name not in graph.read]
    outputs = [value for value in unread if value.random or not graph.chance(0.15)] or made[-1:]
    outputs += graph.pinned + [value for value in made if graph.chance(0.12)]
    outputs += [value for value in graph.inputs if not value.constant and graph.chance(0.03)]
    outputs = list({value.name: value for value in outputs}.values())
    symbols = Symbols(rng)
    inputs = [declare(value, symbols.dims(value)) for value in graph.inputs]
    declared = [declare(value, [None] * value.rank if rng.random() < 0.7 and not graph.counter[1] else None) for value in outputs]
    proto = helper.make_graph(graph.nodes, "g", inputs, declared, initializer=graph.initializers)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSIONS[opset])
    return Sample(seed, model, feeds(graph, symbols), [value.random for value in outputs])


def declare(value, dims):
    return helper.make_tensor_value_info(value.name, elem_type(value.dtype), dims)


class Symbols:
    """Names for dimensions of inputs: equal names for equal sizes."""

    def __init__(self, rng):
        self.rng, self.named = rng, {}
        self.rate = rng.choice([0.0, 0.0, 0.15, 0.4])

    def dims(self, value):
        if value.constant:
            return list(value.shape)
        found = []
        for axis, size in enumerate(value.shape):
            if size and self.rng.random() < self.rate:
                name = self.rng.choice([f"N{size}", f"D{size}", None])
                self.named.setdefault((value.name, axis), name or f"?{value.name}.{axis}")
                found.append(name)
            else:
                found.append(size)
        return found


LINEAR = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def has_linear_pair(nodes):
    """Whether there are linear operators that may become one. As one they add up products of an infinity and weights
    that cancelled before; as two, infinities of both signs meet and make NaN."""
    return sum(node.op_type in LINEAR for node in nodes) > 1


def is_finite_only(node):
    """Whether a node belongs to `FINITE_ONLY`; a `Cast` does when it makes integers."""
    return node.op_type in FINITE_ONLY and (node.op_type != "Cast" or node.attribute[0].i in INTEGERS)


def feeds(graph, symbols):
    """Inputs for a few runs: as generated, with special numbers, with other sizes of symbolic dimensions."""
    rng, runs = graph.rng, []

    def one(sizes, special):
        run = {}
        for value in graph.inputs:
            if value.constant:
                continue
            shape = [sizes.get(symbols.named.get((value.name, axis)), size) for axis, size in enumerate(value.shape)]
            array = np.array(graph.numbers(value.dtype, shape))
            if special and value.is_float and array.size:
                flat = array.reshape(-1)
                flat[rng.randrange(flat.size)] = rng.choice([-0.0, np.inf, -np.inf, np.nan])
            run[value.name] = array
        for value in graph.overridable:
            if rng.random() < 0.5:
                run[value.name] = graph.numbers(value.dtype, value.shape)
        return run

    finite = any(is_finite_only(node) for node in graph.nodes) or has_linear_pair(graph.nodes)
    runs.append(one({}, False))
    runs.append(one({}, rng.random() < 0.25 and not finite))
    names = sorted(set(symbols.named.values()))
    if names:
        runs.append(one({name: rng.choice(SIZES) for name in names}, False))
    return runs
