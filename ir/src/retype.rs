//! Changing what the interface of a graph declares.
use crate::{ElemType, Graph, ValueId};
use lapidary_proto::onnx::type_proto;

impl Graph {
    /// Declares an input or output of the graph with another element type. What computes or reads it
    /// has to be changed to match; the shape stays.
    pub fn declare_elem_type(&mut self, id: ValueId, elem_type: ElemType) {
        let value = self.value_mut(id);
        value.ty.elem_type = Some(elem_type);
        let declared = value.declared.as_mut().and_then(|info| info.r#type.as_mut());
        let Some(type_proto::Value::TensorType(tensor)) = declared.and_then(|ty| ty.value.as_mut())
        else {
            return;
        };
        tensor.elem_type = Some(elem_type.0);
    }
}

#[cfg(test)]
mod tests {
    use crate::{ElemType, text};

    #[test]
    fn the_interface_has_another_type_and_the_same_shape() {
        let source = "g (float[2] x) => (float[2] y) { y = Relu(x) }";
        let mut model = text::parse(source).expect("the text is valid");
        for name in ["x", "y"] {
            let id = model.graph.find(name).expect("there is such a value");
            model.graph.declare_elem_type(id, ElemType::FLOAT16);
        }
        model.graph.infer();
        assert_eq!(model.validate(), []);
        insta::assert_snapshot!(text::print(&model.graph), @r"
        g (float16[2] x) => (float16[2] y)
        {
            y = Relu(x)
        }
        ");
    }
}
