//! The inputs a model asks for, and the check of those it gets.
use crate::error::list;
use crate::{ExecError, Inputs, exchange};
use lapidary_ir::{Dim, ElemType, Graph, Tensor};
use std::collections::BTreeMap;

/// The inputs a caller must give, in the graph's order.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) inputs: Vec<Declared>,
}

/// An input as the model declares it.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) elem_type: ElemType,
    /// Unknown rank when absent.
    pub(crate) shape: Option<Vec<Dim>>,
}

impl Signature {
    /// The inputs of `graph` that have no default value.
    pub(crate) fn new(graph: &Graph) -> Result<Self, ExecError> {
        let declared = |id| {
            let value = graph.value(id);
            let name = value.name().to_owned();
            let Some(elem_type) = value.elem_type() else {
                return Err(ExecError::Undeclared { name, what: "element type" });
            };
            if exchange::datum_type(elem_type).is_none() {
                return Err(ExecError::UnsupportedType { name, elem_type });
            }
            Ok(Declared { name, elem_type, shape: value.shape().map(<[Dim]>::to_vec) })
        };
        Ok(Self { inputs: graph.required_inputs().map(declared).collect::<Result<_, _>>()? })
    }

    /// The tensors in the graph's order, if they are what the model asks for.
    pub(crate) fn check<'a>(&self, inputs: &'a Inputs) -> Result<Vec<&'a Tensor>, ExecError> {
        let known = |name: &String| self.inputs.iter().any(|declared| declared.name == *name);
        if let Some(name) = inputs.keys().find(|name| !known(name)) {
            let expected = list(self.inputs.iter().map(|declared| declared.name.as_str()));
            return Err(ExecError::UnknownInput { name: name.clone(), expected });
        }
        let mut params = BTreeMap::new();
        let mut tensors = Vec::with_capacity(self.inputs.len());
        for declared in &self.inputs {
            let Some(tensor) = inputs.get(&declared.name) else {
                return Err(ExecError::MissingInput { name: declared.name.clone() });
            };
            declared.check(tensor, &mut params)?;
            tensors.push(tensor);
        }
        Ok(tensors)
    }
}

impl Declared {
    fn check<'a>(
        &'a self,
        tensor: &Tensor,
        params: &mut BTreeMap<&'a str, i64>,
    ) -> Result<(), ExecError> {
        let name = || self.name.clone();
        let (found, expected) = (tensor.elem_type(), self.elem_type);
        if found != expected {
            return Err(ExecError::WrongElemType { name: name(), found, expected });
        }
        let Some(shape) = &self.shape else { return Ok(()) };
        if shape.len() != tensor.rank() {
            let (found, expected) = (tensor.dims().to_vec(), shape.len());
            return Err(ExecError::WrongRank { name: name(), found, expected });
        }
        for (axis, (dim, &found)) in shape.iter().zip(tensor.dims()).enumerate() {
            if let Some(expected) = dim.value()
                && expected != found
            {
                return Err(ExecError::WrongDim { name: name(), axis, found, expected });
            }
            let Some(param) = dim.as_param() else { continue };
            let expected = *params.entry(param).or_insert(found);
            if expected != found {
                let param = param.to_owned();
                return Err(ExecError::ConflictingDim {
                    name: name(),
                    axis,
                    param,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
}
