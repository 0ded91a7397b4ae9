//! Facts of the ONNX specification about operators of its own domain.
//!
//! Arity, versions and attributes are in a table that `generate.py` writes from the schemas of the
//! onnx package; what those do not say (which operators commute, which work element by element)
//! is listed here.
mod elementwise;
mod integer;
#[rustfmt::skip]
mod table;

pub use elementwise::{is_broadcasting, is_elementwise, is_elementwise_unary};
pub use integer::{IntegerOperator, QuantizedSlots, integer_operator, integer_operator_named};

/// An upper bound of an arity that there is none.
pub const MANY: usize = usize::MAX;

/// The newest operator set the table knows.
pub const NEWEST_OPSET: i64 = table::NEWEST;

/// An operator of ONNX's own domain.
#[derive(Debug, PartialEq)]
pub struct Operator {
    /// Its name.
    pub name: &'static str,
    /// Its versions, oldest first.
    pub versions: &'static [Version],
}

/// What an operator is from one operator set on until its next version.
#[derive(Debug, PartialEq)]
pub struct Version {
    /// The first operator set it is in.
    pub since: i64,
    /// The fewest and the most inputs; [`MANY`] when there is no limit.
    pub inputs: (usize, usize),
    /// The fewest and the most outputs; [`MANY`] when there is no limit.
    pub outputs: (usize, usize),
    /// How many leading inputs may be omitted although required ones follow, as `Loop` allows.
    pub omittable: usize,
    /// Whether the specification advises against its use from here on.
    pub deprecated: bool,
    /// Its attributes, sorted by name.
    pub attributes: &'static [AttributeFact],
}

/// What an operator says about one of its attributes.
#[derive(Debug, PartialEq)]
pub struct AttributeFact {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: AttributeKind,
    /// Whether a node has to give it.
    pub required: bool,
    /// What it is when a node does not give it.
    pub default: Option<DefaultValue>,
}

/// The type of an attribute, in the words of `AttributeProto.AttributeType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    /// `FLOAT`
    Float,
    /// `INT`
    Int,
    /// `STRING`
    String,
    /// `TENSOR`
    Tensor,
    /// `GRAPH`
    Graph,
    /// `SPARSE_TENSOR`
    SparseTensor,
    /// `TYPE_PROTO`
    TypeProto,
    /// `FLOATS`
    Floats,
    /// `INTS`
    Ints,
    /// `STRINGS`
    Strings,
}

/// The value of an attribute a node does not give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    /// `FLOAT`
    Float(f32),
    /// `INT`
    Int(i64),
    /// `STRING`
    String(&'static str),
    /// `INTS`
    Ints(&'static [i64]),
    /// `STRINGS`
    Strings(&'static [&'static str]),
}

impl Version {
    /// Whether a node has to give input `slot`.
    #[must_use]
    pub fn requires_input(&self, slot: usize) -> bool {
        slot >= self.omittable && slot < self.inputs.0
    }

    /// What is said about the attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'static AttributeFact> {
        let found = self.attributes.binary_search_by(|fact| fact.name.cmp(name)).ok()?;
        self.attributes.get(found)
    }
}

const fn op(name: &'static str, versions: &'static [Version]) -> Operator {
    Operator { name, versions }
}

const fn from(
    since: i64,
    inputs: (usize, usize),
    outputs: (usize, usize),
    attributes: &'static [AttributeFact],
) -> Version {
    Version { since, inputs, outputs, omittable: 0, deprecated: false, attributes }
}

impl Version {
    const fn omitting(self, omittable: usize) -> Self {
        Self { omittable, ..self }
    }

    const fn deprecated(self) -> Self {
        Self { deprecated: true, ..self }
    }
}

const fn required(name: &'static str, kind: AttributeKind) -> AttributeFact {
    AttributeFact { name, kind, required: true, default: None }
}

const fn optional(name: &'static str, kind: AttributeKind) -> AttributeFact {
    AttributeFact { name, kind, required: false, default: None }
}

impl AttributeFact {
    const fn or(self, default: DefaultValue) -> Self {
        Self { default: Some(default), ..self }
    }
}

/// Every operator, sorted by name.
#[must_use]
pub fn operators() -> &'static [Operator] {
    table::OPERATORS
}

/// The first IR version whose models may import version `opset` of ONNX's own operator set.
#[must_use]
pub fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=8 => 3,
        9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        25.. => 13,
    }
}

/// The operator of that name.
#[must_use]
pub fn operator(op_type: &str) -> Option<&'static Operator> {
    let found = table::OPERATORS.binary_search_by(|operator| operator.name.cmp(op_type)).ok()?;
    table::OPERATORS.get(found)
}

/// The version of an operator that is in force in operator set `opset`.
#[must_use]
pub fn version(op_type: &str, opset: i64) -> Option<&'static Version> {
    operator(op_type)?.versions.iter().rev().find(|version| version.since <= opset)
}

/// The operator set that made the version of an operator in force in operator set `opset`.
#[must_use]
pub fn since(op_type: &str, opset: i64) -> Option<i64> {
    Some(version(op_type, opset)?.since)
}

/// The first operator set an operator is in.
#[must_use]
pub fn first_version(op_type: &str) -> Option<i64> {
    Some(operator(op_type)?.versions.first()?.since)
}

/// The value of an attribute that is not given.
#[must_use]
pub fn default_value(op_type: &str, opset: i64, attribute: &str) -> Option<DefaultValue> {
    version(op_type, opset)?.attribute(attribute)?.default
}

/// The value of an integer attribute that is not given.
#[must_use]
pub fn default_int(op_type: &str, opset: i64, attribute: &str) -> Option<i64> {
    match default_value(op_type, opset, attribute)? {
        DefaultValue::Int(value) => Some(value),
        _ => None,
    }
}

/// The value of a float attribute that is not given.
#[must_use]
pub fn default_float(op_type: &str, opset: i64, attribute: &str) -> Option<f32> {
    match default_value(op_type, opset, attribute)? {
        DefaultValue::Float(value) => Some(value),
        _ => None,
    }
}

/// The value of a string attribute that is not given.
#[must_use]
pub fn default_string(op_type: &str, opset: i64, attribute: &str) -> Option<&'static str> {
    match default_value(op_type, opset, attribute)? {
        DefaultValue::String(value) => Some(value),
        _ => None,
    }
}

/// Whether the operator runs subgraphs.
#[must_use]
pub fn has_subgraph(op_type: &str) -> bool {
    let is_graph = |fact: &AttributeFact| fact.kind == AttributeKind::Graph;
    operator(op_type)
        .is_some_and(|op| op.versions.iter().any(|version| version.attributes.iter().any(is_graph)))
}

/// Whether swapping the two inputs changes nothing.
#[must_use]
pub fn is_commutative(op_type: &str) -> bool {
    matches!(
        op_type,
        "Add" | "Mul" | "And" | "Or" | "Xor" | "Equal" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor"
    )
}

/// Whether two runs on the same inputs may differ.
#[must_use]
pub fn is_random(op_type: &str) -> bool {
    matches!(
        op_type,
        "RandomNormal"
            | "RandomNormalLike"
            | "RandomUniform"
            | "RandomUniformLike"
            | "Multinomial"
            | "Bernoulli"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(op_type: &str) -> Vec<i64> {
        operator(op_type).map_or(Vec::new(), |op| op.versions.iter().map(|v| v.since).collect())
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(table::OPERATORS.is_sorted_by(|a, b| a.name < b.name));
        for operator in table::OPERATORS {
            let versions = operator.versions;
            assert!(!versions.is_empty(), "{}", operator.name);
            assert!(versions.is_sorted_by(|a, b| a.since < b.since), "{}", operator.name);
            for version in versions {
                let sorted = version.attributes.is_sorted_by(|a, b| a.name < b.name);
                assert!(sorted, "{} {}", operator.name, version.since);
                assert!(version.inputs.0 <= version.inputs.1);
                assert!(version.outputs.0 <= version.outputs.1);
                assert!(version.since <= NEWEST_OPSET);
            }
        }
    }

    #[test]
    fn versions_are_those_of_the_specification() {
        assert_eq!(versions("Conv"), [1, 11, 22]);
        assert_eq!(versions("BatchNormalization"), [1, 6, 7, 9, 14, 15]);
        assert_eq!(versions("Relu"), [1, 6, 13, 14]);
        assert_eq!(first_version("LayerNormalization"), Some(17));
        assert_eq!(first_version("FusedConv"), None);
    }

    #[test]
    fn the_version_in_force_is_the_newest_that_is_not_newer() {
        assert_eq!(since("Conv", 10), Some(1));
        assert_eq!(since("Conv", 11), Some(11));
        assert_eq!(since("Conv", 1000), Some(22));
        assert_eq!(since("LayerNormalization", 16), None);
    }

    #[test]
    fn arity_and_deprecation_change_with_the_version() {
        let inputs = |op_type, opset| version(op_type, opset).map(|version| version.inputs);
        assert_eq!(inputs("Conv", 13), Some((2, 3)));
        assert_eq!(inputs("Clip", 6), Some((1, 1)));
        assert_eq!(inputs("Clip", 13), Some((1, 3)));
        assert_eq!(inputs("Concat", 13), Some((1, MANY)));
        assert!(version("Upsample", 9).is_some_and(|version| !version.deprecated));
        assert!(version("Upsample", 13).is_some_and(|version| version.deprecated));
    }

    #[test]
    fn loop_may_omit_its_first_inputs_only() {
        let required = |slot| version("Loop", 13).is_some_and(|v| v.requires_input(slot));
        assert!(!required(0) && !required(1));
        assert!(version("Conv", 13).is_some_and(|v| v.requires_input(1) && !v.requires_input(2)));
    }

    #[test]
    fn defaults_are_those_of_the_version() {
        assert_eq!(default_int("Conv", 13, "group"), Some(1));
        assert_eq!(default_float("BatchNormalization", 15, "epsilon"), Some(1e-5));
        assert_eq!(default_string("Conv", 13, "auto_pad"), Some("NOTSET"));
        assert_eq!(default_int("Softmax", 11, "axis"), Some(1));
        assert_eq!(default_int("Softmax", 13, "axis"), Some(-1));
        assert_eq!(default_int("Conv", 13, "epsilon"), None);
    }

    #[test]
    fn operators_with_subgraphs_are_found_by_their_attributes() {
        let found: Vec<_> = table::OPERATORS
            .iter()
            .map(|operator| operator.name)
            .filter(|op_type| has_subgraph(op_type))
            .collect();
        assert_eq!(found, ["If", "Loop", "Scan", "SequenceMap"]);
    }

    #[test]
    fn the_lists_of_operators_agree() {
        for operator in table::OPERATORS {
            let name = operator.name;
            assert!(!is_random(name) || !is_elementwise(name), "{name}");
            assert!(!is_commutative(name) || is_broadcasting(name), "{name}");
        }
    }
}
