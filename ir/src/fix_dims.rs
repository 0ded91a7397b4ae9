//! Giving numbers to the dimensions a model leaves open.
use crate::{AttributeValue, Dim, Graph, Model, ValueId, ValueType, decode};
use lapidary_proto::onnx;
use onnx::tensor_shape_proto::{Dimension, dimension::Value as DimProto};
use std::collections::{BTreeMap, BTreeSet};

/// A message lists at most this many names.
const MAX_LISTED: usize = 20;

/// Sizes for dimensions a model leaves open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedDims {
    /// By `dim_param`, wherever it stands.
    pub params: Vec<(String, i64)>,
    /// Shapes of inputs by name; a model with one input may leave the name out.
    pub inputs: Vec<(Option<String>, Vec<i64>)>,
}

/// Why dimensions can't be fixed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FixDimsError {
    /// The model has no such input.
    #[error("there is no input `{name}`; the inputs are {}", .inputs.join(", "))]
    UnknownInput {
        /// The name given.
        name: String,
        /// Those there are, with their shapes.
        inputs: Vec<String>,
    },
    /// A shape without a name, and not exactly one input.
    #[error("the shape of which input? The inputs are {}", .inputs.join(", "))]
    Unnamed {
        /// Those there are, with their shapes.
        inputs: Vec<String>,
    },
    /// No input has a dimension of that name.
    #[error("no input has a dimension `{name}`; the inputs are {}", .inputs.join(", "))]
    UnknownParam {
        /// The name given.
        name: String,
        /// The inputs, with their shapes.
        inputs: Vec<String>,
    },
    /// The input is a sequence, a map or the like, or has no type.
    #[error("input `{0}` is no tensor of a declared type")]
    NoTensor(String),
    /// The input has another rank.
    #[error("input `{input}` has rank {declared}, the given shape has {given}")]
    Rank {
        /// The input.
        input: String,
        /// Its rank.
        declared: usize,
        /// The rank given.
        given: usize,
    },
    /// The model states another number.
    #[error("dimension {axis} of input `{input}` is {declared}, given is {given}")]
    OtherNumber {
        /// The input.
        input: String,
        /// Which dimension.
        axis: usize,
        /// What the model states.
        declared: i64,
        /// What is given.
        given: i64,
    },
    /// One dimension is given two sizes.
    #[error("`{param}` is given as {first} and as {second}")]
    TwoNumbers {
        /// The `dim_param`.
        param: String,
        /// One size.
        first: i64,
        /// The other.
        second: i64,
    },
    /// A size below zero.
    #[error("{0} is no size of a dimension")]
    Negative(i64),
}

/// What to write: numbers for parameters, and for dimensions of inputs that have no name.
#[derive(Default)]
struct Assignment {
    params: BTreeMap<String, i64>,
    shapes: BTreeMap<ValueId, Vec<i64>>,
}

impl Model {
    /// Gives dimensions numbers: in the inputs, in every declared and inferred type, in subgraphs.
    /// Outputs are declared with the shapes that follow.
    ///
    /// # Errors
    /// When an input or dimension does not exist or has another size; the model is then unchanged.
    pub fn fix_dims(&mut self, fixed: &FixedDims) -> Result<(), FixDimsError> {
        let mut assignment = Assignment::default();
        for (param, size) in &fixed.params {
            self.graph.require_param(param)?;
            assignment.assign(param, *size)?;
        }
        for (name, dims) in &fixed.inputs {
            let id = self.graph.named_input(name.as_deref())?;
            assignment.shape(&self.graph, id, dims)?;
        }
        self.graph.write_dims(&assignment.params);
        for (&id, dims) in &assignment.shapes {
            self.graph.write_input_shape(id, dims);
        }
        self.graph.infer();
        self.graph.declare_output_shapes();
        Ok(())
    }
}

impl Assignment {
    fn assign(&mut self, param: &str, size: i64) -> Result<(), FixDimsError> {
        if size < 0 {
            return Err(FixDimsError::Negative(size));
        }
        let first = *self.params.entry(param.to_owned()).or_insert(size);
        if first == size {
            return Ok(());
        }
        Err(FixDimsError::TwoNumbers { param: param.to_owned(), first, second: size })
    }

    fn shape(&mut self, graph: &Graph, id: ValueId, dims: &[i64]) -> Result<(), FixDimsError> {
        let value = graph.value(id);
        let input = value.name().to_owned();
        let ty = value.declared.as_ref().and_then(|info| info.r#type.as_ref()?.value.as_ref());
        let Some(onnx::type_proto::Value::TensorType(_)) = ty else {
            return Err(FixDimsError::NoTensor(input));
        };
        if let Some(&size) = dims.iter().find(|&&size| size < 0) {
            return Err(FixDimsError::Negative(size));
        }
        let declared = value.shape().unwrap_or_default();
        if value.shape().is_some() && declared.len() != dims.len() {
            let (declared, given) = (declared.len(), dims.len());
            return Err(FixDimsError::Rank { input, declared, given });
        }
        for (axis, (dim, &given)) in declared.iter().zip(dims).enumerate() {
            match (dim.value(), dim.as_param()) {
                (Some(declared), _) if declared != given => {
                    return Err(FixDimsError::OtherNumber { input, axis, declared, given });
                }
                (None, Some(param)) => self.assign(param, given)?,
                _ => {}
            }
        }
        let before = self.shapes.insert(id, dims.to_vec());
        let differs =
            |before: Vec<i64>| before.iter().zip(dims).find(|(a, b)| a != b).map(|(&a, &b)| (a, b));
        match before.and_then(differs) {
            Some((first, second)) => Err(FixDimsError::TwoNumbers { param: input, first, second }),
            None => Ok(()),
        }
    }
}

impl Graph {
    /// The inputs a caller feeds, as messages list them.
    fn described_inputs(&self) -> Vec<String> {
        let describe = |id| {
            let value = self.value(id);
            let dims = value
                .shape()
                .map(|shape| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
            format!("`{}` [{}]", value.name(), dims.unwrap_or_else(|| "…".to_owned()))
        };
        let mut inputs: Vec<String> =
            self.required_inputs().take(MAX_LISTED).map(describe).collect();
        let more = self.required_inputs().count() - inputs.len();
        inputs.extend((more > 0).then(|| format!("and {more} more")));
        inputs
    }

    fn named_input(&self, name: Option<&str>) -> Result<ValueId, FixDimsError> {
        let inputs = || self.described_inputs();
        let Some(name) = name else {
            let mut required = self.required_inputs();
            return match (required.next(), required.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(FixDimsError::Unnamed { inputs: inputs() }),
            };
        };
        let found = self.find(name).filter(|&id| self.value(id).is_input);
        found.ok_or_else(|| FixDimsError::UnknownInput { name: name.to_owned(), inputs: inputs() })
    }

    /// A size of a dimension that no input has would be a claim about what the model computes.
    fn require_param(&self, param: &str) -> Result<(), FixDimsError> {
        let known: BTreeSet<&str> = self
            .inputs()
            .iter()
            .flat_map(|&id| self.value(id).shape().unwrap_or_default())
            .filter_map(Dim::as_param)
            .collect();
        if known.contains(param) {
            return Ok(());
        }
        let inputs = self.described_inputs();
        Err(FixDimsError::UnknownParam { name: param.to_owned(), inputs })
    }

    /// Writes numbers for parameters into every type, here and in subgraphs.
    fn write_dims(&mut self, params: &BTreeMap<String, i64>) {
        if params.is_empty() {
            return;
        }
        for value in self.values.iter_mut().flatten() {
            fix_known(&mut value.ty, params);
            if let Some(ty) = value.declared.as_mut().and_then(|info| info.r#type.as_mut()) {
                fix_declared(ty, params);
            }
        }
        for ty in self.rest.value_info.iter_mut().filter_map(|info| info.r#type.as_mut()) {
            fix_declared(ty, params);
        }
        for attribute in self.nodes.iter_mut().flatten().flat_map(|node| &mut node.attributes) {
            if let AttributeValue::Graph(graph) = &mut attribute.value {
                graph.write_dims(params);
            }
        }
    }

    fn write_input_shape(&mut self, id: ValueId, dims: &[i64]) {
        let value = self.value_mut(id);
        let declared = value.declared.as_mut().and_then(|info| info.r#type.as_mut());
        let Some(ty) = declared else { return };
        let known: Vec<Dim> = dims.iter().map(|&size| size.into()).collect();
        write_shape(ty, &known);
        if value.initializer.is_none() {
            value.ty = decode::value_type(ty);
        }
    }

    fn declare_output_shapes(&mut self) {
        for id in self.outputs.clone() {
            let value = self.value_mut(id);
            let (Some(shape), false) = (&value.ty.shape, value.is_input) else { continue };
            let declared = value.declared.as_mut().and_then(|info| info.r#type.as_mut());
            if let Some(ty) = declared {
                write_shape(ty, shape);
            }
        }
    }
}

fn fix_known(ty: &mut ValueType, params: &BTreeMap<String, i64>) {
    let assign = |name: &str| params.get(name).copied();
    let dims = ty.shape.iter_mut().chain(&mut ty.elements).flatten();
    for dim in dims {
        *dim = dim.substitute(&assign);
    }
}

fn fix_declared(ty: &mut onnx::TypeProto, params: &BTreeMap<String, i64>) {
    use onnx::type_proto::Value;
    let shape = match &mut ty.value {
        Some(Value::TensorType(tensor)) => tensor.shape.as_mut(),
        Some(Value::SparseTensorType(tensor)) => tensor.shape.as_mut(),
        Some(Value::SequenceType(sequence)) => return fix_inner(&mut sequence.elem_type, params),
        Some(Value::OptionalType(optional)) => return fix_inner(&mut optional.elem_type, params),
        Some(Value::MapType(map)) => return fix_inner(&mut map.value_type, params),
        Some(Value::OpaqueType(_)) | None => None,
    };
    for dim in shape.into_iter().flat_map(|shape| &mut shape.dim) {
        if let Some(DimProto::DimParam(name)) = &dim.value
            && let Some(&size) = params.get(name)
        {
            dim.value = Some(DimProto::DimValue(size));
        }
    }
}

fn fix_inner(ty: &mut Option<Box<onnx::TypeProto>>, params: &BTreeMap<String, i64>) {
    if let Some(ty) = ty {
        fix_declared(ty, params);
    }
}

/// States the numbers of `shape` in the type of a tensor; what is no number stays as declared.
fn write_shape(ty: &mut onnx::TypeProto, shape: &[Dim]) {
    let Some(onnx::type_proto::Value::TensorType(tensor)) = &mut ty.value else { return };
    let declared = tensor.shape.take().unwrap_or_default().dim;
    let dims = shape.iter().enumerate().map(|(axis, dim)| {
        let declared = declared.get(axis).filter(|_| declared.len() == shape.len()).cloned();
        let declared = declared.unwrap_or_default();
        let value = dim.value().map(DimProto::DimValue).or(declared.value);
        Dimension { value, denotation: declared.denotation }
    });
    tensor.shape = Some(onnx::TensorShapeProto { dim: dims.collect() });
}

#[cfg(test)]
mod tests {
    use super::{FixDimsError, FixedDims};
    use crate::text;

    const MODEL: &str = "g (float[N,3,?] x, float[M,3] z, bool c) => (float[N,K,?] y, float[] s)
        {
            a = Concat <axis = 1> (x, x)
            y = If (c) <
                then_branch = t () => (float[N,6,?] u) { u = Relu(a) },
                else_branch = e () => (float[N,6,?] v) { v = Abs(a) }
            >
            s = Add(z, z)
        }";

    fn fix(
        params: &[(&str, i64)],
        inputs: &[(Option<&str>, &[i64])],
    ) -> Result<String, FixDimsError> {
        let mut model = text::parse(MODEL).expect("the text is valid");
        let fixed = FixedDims {
            params: params.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect(),
            inputs: inputs.iter().map(|(n, dims)| (n.map(str::to_owned), dims.to_vec())).collect(),
        };
        model.fix_dims(&fixed)?;
        assert_eq!(model.validate(), Vec::new());
        Ok(text::print(&model.graph))
    }

    #[track_caller]
    fn refused(params: &[(&str, i64)], inputs: &[(Option<&str>, &[i64])]) -> String {
        fix(params, inputs).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_parameter_is_fixed_in_inputs_outputs_and_subgraphs() {
        insta::assert_snapshot!(fix(&[("N", 4)], &[]).unwrap(), @r"
        g (float[4,3,?] x, float[M,3] z, bool c) => (float[4,6,?] y, float[?,3] s)
        {
            a = Concat <axis = 1> (x, x)
            y = If(c) <
                then_branch = t () => (float[4,6,?] u)
                {
                    u = Relu(a)
                },
                else_branch = e () => (float[4,6,?] v)
                {
                    v = Abs(a)
                }
            >
            s = Add(z, z)
        }
        ");
    }

    #[test]
    fn a_shape_fixes_unnamed_dimensions_and_the_parameters_it_meets() {
        insta::assert_snapshot!(fix(&[], &[(Some("x"), &[4, 3, 5]), (Some("z"), &[2, 3])]).unwrap(), @r"
        g (float[4,3,5] x, float[2,3] z, bool c) => (float[4,6,5] y, float[2,3] s)
        {
            a = Concat <axis = 1> (x, x)
            y = If(c) <
                then_branch = t () => (float[4,6,?] u)
                {
                    u = Relu(a)
                },
                else_branch = e () => (float[4,6,?] v)
                {
                    v = Abs(a)
                }
            >
            s = Add(z, z)
        }
        ");
    }

    #[test]
    fn the_only_input_needs_no_name() {
        let source = "g (float[] x) => (float[] y) { y = Relu(x) }";
        let mut model = text::parse(source).expect("the text is valid");
        let fixed = FixedDims { inputs: vec![(None, vec![2, 3])], ..FixedDims::default() };
        model.fix_dims(&fixed).expect("there is one input");
        assert_eq!(
            text::print(&model.graph),
            "g (float[2,3] x) => (float[2,3] y)\n{\n    y = Relu(x)\n}\n"
        );
    }

    #[test]
    fn what_does_not_exist_is_refused_with_what_does() {
        insta::assert_snapshot!(refused(&[("K", 1)], &[]), @"no input has a dimension `K`; the inputs are `x` [N,3,?], `z` [M,3], `c` []");
        insta::assert_snapshot!(refused(&[], &[(Some("y"), &[1])]), @"there is no input `y`; the inputs are `x` [N,3,?], `z` [M,3], `c` []");
        insta::assert_snapshot!(refused(&[], &[(None, &[1])]), @"the shape of which input? The inputs are `x` [N,3,?], `z` [M,3], `c` []");
    }

    #[test]
    fn what_contradicts_the_model_or_itself_is_refused() {
        insta::assert_snapshot!(refused(&[], &[(Some("x"), &[1, 3])]), @"input `x` has rank 3, the given shape has 2");
        insta::assert_snapshot!(refused(&[], &[(Some("x"), &[1, 4, 5])]), @"dimension 1 of input `x` is 3, given is 4");
        insta::assert_snapshot!(refused(&[("N", 2)], &[(Some("x"), &[1, 3, 5])]), @"`N` is given as 2 and as 1");
        let twice: [(Option<&str>, &[i64]); 2] = [(Some("x"), &[1, 3, 5]), (Some("x"), &[1, 3, 6])];
        insta::assert_snapshot!(refused(&[], &twice), @"`x` is given as 5 and as 6");
        insta::assert_snapshot!(refused(&[("N", -1)], &[]), @"-1 is no size of a dimension");
    }
}
