# /// script
# requires-python = ">=3.10"
# dependencies = ["onnx==1.22.0"]
# ///
"""Writes table.rs, the facts about ONNX's own operators, from the schemas in the onnx package.

    uv run generate.py           # write table.rs
    uv run generate.py --check   # fail if table.rs is not what would be written
"""

import pathlib
import struct
import sys

import onnx
from onnx import defs

TABLE = pathlib.Path(__file__).with_name("table.rs")
UNBOUNDED = 2**31 - 1
OPTION = defs.OpSchema.FormalParameterOption


def float_literal(value: float) -> str:
    """The shortest decimal that is the same 32-bit float."""
    wanted = struct.pack("<f", value)
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        try:
            same = struct.pack("<f", float(text)) == wanted
        except OverflowError:  # rounded up beyond the largest float
            continue
        if same:
            return text if "." in text or "e" in text else text + ".0"
    raise ValueError(f"{value} is no 32-bit float")


def string_literal(value: bytes) -> str:
    text = value.decode()
    if not text.isascii() or not text.isprintable() or '"' in text or "\\" in text:
        raise ValueError(f"{text!r} needs escapes")
    return f'"{text}"'


def slice_literal(items) -> str:
    return "&[" + ", ".join(items) + "]"


def default(attribute) -> str:
    proto = attribute.default_value
    if not proto.name:
        return ""
    kind = attribute.type.name
    if kind == "INT":
        return f".or(Int({proto.i}))"
    if kind == "FLOAT":
        return f".or(Float({float_literal(proto.f)}))"
    if kind == "STRING":
        return f".or(String({string_literal(proto.s)}))"
    if kind == "INTS":
        return f".or(Ints({slice_literal(map(str, proto.ints))}))"
    if kind == "STRINGS":
        return f".or(Strings({slice_literal(map(string_literal, proto.strings))}))"
    raise ValueError(f"{attribute.name}: no notation for a default of type {kind}")


def attributes(schema) -> list[str]:
    rows = []
    for name, attribute in sorted(schema.attributes.items()):
        make = "required" if attribute.required else "optional"
        kind = "".join(word.capitalize() for word in attribute.type.name.split("_"))
        rows.append(f'{make}("{name}", K::{kind}){default(attribute)}')
    return rows


def omittable(schema) -> int:
    """How many inputs may be omitted although a required one follows; they come first."""
    below = schema.inputs[: schema.min_input]
    optional = [formal.option == OPTION.Optional for formal in below]
    count = sum(optional)
    if not all(optional[:count]):
        raise ValueError(f"{schema.name}: an optional input stands between required ones")
    return count


def count(number: int) -> str:
    return "MANY" if number == UNBOUNDED else str(number)


def table() -> str:
    operators: dict[str, list] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            operators.setdefault(schema.name, []).append(schema)
    lists, rows = [], []
    for name, versions in sorted(operators.items()):
        known: dict[tuple, str] = {}
        rows.append(f'    op("{name}", &[')
        for schema in sorted(versions, key=lambda schema: schema.since_version):
            facts = tuple(attributes(schema))
            if facts and facts not in known:
                known[facts] = f"{name.upper()}_{schema.since_version}"
                lists.append(f"const {known[facts]}: &[AttributeFact] = &[")
                lists += [f"    {fact}," for fact in facts]
                lists.append("];")
            inputs = f"({schema.min_input}, {count(schema.max_input)})"
            outputs = f"({schema.min_output}, {count(schema.max_output)})"
            row = f"from({schema.since_version}, {inputs}, {outputs}, {known.get(facts, '&[]')})"
            if omittable(schema):
                row += f".omitting({omittable(schema)})"
            if schema.deprecated:
                row += ".deprecated()"
            rows.append(f"        {row},")
        rows.append("    ]),")
    newest = defs.onnx_opset_version()
    return "\n".join(
        [
            f"//! The operators of ONNX's own domain, as onnx {onnx.__version__} knows them.",
            "//!",
            "//! Written by generate.py; do not edit.",
            "use super::{",
            "    AttributeFact, AttributeKind as K,",
            "    DefaultValue::{Float, Int, Ints, String, Strings},",
            "    MANY, Operator, from, op, optional, required,",
            "};",
            "",
            "/// The newest operator set in the table.",
            f"pub(super) const NEWEST: i64 = {newest};",
            "",
            *lists,
            "",
            "/// Sorted by name, versions by number.",
            "pub(super) const OPERATORS: &[Operator] = &[",
            *rows,
            "];",
            "",
        ]
    )


def main() -> None:
    text = table()
    if "--check" not in sys.argv[1:]:
        TABLE.write_text(text)
    elif not TABLE.exists() or TABLE.read_text() != text:
        sys.exit("table.rs is out of date: run generate.py")


if __name__ == "__main__":
    main()
