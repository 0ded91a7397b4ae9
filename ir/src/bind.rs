//! Giving the inputs of a model dimensions that are numbers.
use crate::{Dim, Model};
use std::collections::BTreeMap;

impl Model {
    /// The model for inputs of these dimensions, by name, with the types that follow from them.
    /// An input of another rank or of unknown rank takes them as well.
    #[must_use]
    pub fn bound(&self, inputs: &BTreeMap<String, Vec<i64>>) -> Self {
        let mut model = self.clone();
        for (name, dims) in inputs {
            let Some(id) = model.graph.find(name) else { continue };
            let value = model.graph.value_mut(id);
            if value.is_input {
                value.ty.shape = Some(dims.iter().map(|&dim| Dim::from(dim)).collect());
            }
        }
        model.graph.infer();
        model
    }
}

#[cfg(test)]
mod tests {
    use crate::text;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_flow_behind_the_inputs() {
        let model = text::parse(
            "g (float[N,C] x) => (y)
             {
                 y = Concat <axis = 1> (x, x)
             }",
        )
        .expect("the text is a model");
        let bound = model.bound(&BTreeMap::from([("x".to_owned(), vec![2, 3])]));
        let y = bound.graph.find("y").expect("there is a value `y`");
        assert_eq!(bound.graph.ty(y).dims(), Some(vec![2, 6]));
    }
}
