//! What a model takes.
use super::DatasetError;
use lapidary_ir::{Dim, ElemType, Graph};

/// The inputs that have to be given.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) inputs: Vec<Expected>,
}

/// One input.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) elem_type: Option<ElemType>,
    pub(super) shape: Option<Vec<Dim>>,
}

/// Whether an array has an axis for the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Axis 0 counts samples.
    Samples,
    /// The array is one sample.
    Missing,
}

impl Signature {
    pub(super) fn of(graph: &Graph) -> Self {
        let input = |id| {
            let value = graph.value(id);
            Expected {
                name: value.name().to_owned(),
                elem_type: value.elem_type(),
                shape: value.shape().map(<[Dim]>::to_vec),
            }
        };
        Self { inputs: graph.required_inputs().map(input).collect() }
    }

    /// The input of that name.
    pub(super) fn find(&self, name: &str) -> Option<&Expected> {
        self.inputs.iter().find(|input| input.name == name)
    }

    /// The only input.
    pub(super) fn only(&self) -> Result<&Expected, DatasetError> {
        let [input] = self.inputs.as_slice() else {
            let inputs = self.inputs.iter().map(|input| input.name.clone()).collect();
            return Err(DatasetError::OneArray { inputs });
        };
        Ok(input)
    }
}

impl Expected {
    /// Whether an array of samples fits, whatever its first dimension. With `single` the array may
    /// also be one sample.
    pub(super) fn fit(
        &self,
        elem_type: ElemType,
        dims: &[i64],
        single: bool,
    ) -> Result<Axis, DatasetError> {
        self.check_type(elem_type)?;
        let Some(shape) = &self.shape else {
            return Ok(if dims.is_empty() && single { Axis::Missing } else { Axis::Samples });
        };
        let rest = shape.get(1..).unwrap_or_default();
        if dims.len() == shape.len() && dims.get(1..).is_some_and(|dims| same(dims, rest)) {
            return Ok(Axis::Samples);
        }
        if single && dims.len() + 1 == shape.len() && same(dims, rest) {
            return Ok(Axis::Missing);
        }
        let sizes: Vec<String> = rest.iter().map(Dim::to_string).collect();
        Err(self.misfit(dims, format!("[samples, {}]", sizes.join(", "))))
    }

    /// Whether an array fits as it is.
    pub(super) fn fit_whole(&self, elem_type: ElemType, dims: &[i64]) -> Result<(), DatasetError> {
        self.check_type(elem_type)?;
        match &self.shape {
            Some(shape) if dims.len() != shape.len() || !same(dims, shape) => {
                Err(self.misfit(dims, list(shape)))
            }
            _ => Ok(()),
        }
    }

    fn check_type(&self, found: ElemType) -> Result<(), DatasetError> {
        match self.elem_type {
            Some(expected) if expected != found => {
                Err(DatasetError::ElemType { name: self.name.clone(), found, expected })
            }
            _ => Ok(()),
        }
    }

    fn misfit(&self, found: &[i64], expected: String) -> DatasetError {
        DatasetError::Shape { name: self.name.clone(), found: found.to_vec(), expected }
    }
}

/// Whether sizes are those of a shape, where it has any.
pub(super) fn same(dims: &[i64], shape: &[Dim]) -> bool {
    let equal = |(found, expected): (&i64, &Dim)| expected.value().is_none_or(|dim| dim == *found);
    dims.len() == shape.len() && dims.iter().zip(shape).all(equal)
}

/// A shape as text.
pub(super) fn list(shape: &[Dim]) -> String {
    let sizes: Vec<String> = shape.iter().map(Dim::to_string).collect();
    format!("[{}]", sizes.join(", "))
}
