//! The model: a graph and what stands around it.
use crate::{AttributeValue, Graph};
use lapidary_proto::onnx;
use std::sync::Arc;

/// A whole model.
#[derive(Clone, Debug)]
pub struct Model {
    /// The main graph.
    pub graph: Graph,
    /// Whether the file kept its tensors in other files; the writer then does the same.
    pub external_data: bool,
    /// Whether every initializer has to be an input of the graph, too.
    pub(crate) constants_are_inputs: bool,
    /// Everything but the graph, as in the file: versions, producer, functions, metadata.
    pub(crate) rest: onnx::ModelProto,
}

/// The operator sets a model imports: domain and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpsetImports(Vec<(String, i64)>);

impl OpsetImports {
    /// From `(domain, version)` pairs; `ai.onnx` counts as the empty domain.
    #[must_use]
    pub fn new(imports: impl IntoIterator<Item = (String, i64)>) -> Self {
        let named = |(domain, version): (String, i64)| match domain.as_str() {
            "ai.onnx" => (String::new(), version),
            _ => (domain, version),
        };
        Self(imports.into_iter().map(named).collect())
    }

    /// The version of ONNX's own operator set.
    #[must_use]
    pub fn standard(&self) -> Option<i64> {
        self.version("")
    }

    /// The imported version of `domain`.
    #[must_use]
    pub fn version(&self, domain: &str) -> Option<i64> {
        self.0.iter().find(|(name, _)| name == domain).map(|(_, version)| *version)
    }

    /// All imports, in the file's order.
    #[must_use]
    pub fn entries(&self) -> &[(String, i64)] {
        &self.0
    }
}

impl Model {
    /// A model around `graph`, with the IR version its operator sets need.
    #[must_use]
    pub fn new(graph: Graph, ir_version: i64) -> Self {
        let opset_import = graph
            .opsets
            .entries()
            .iter()
            .map(|(domain, version)| onnx::OperatorSetIdProto {
                domain: Some(domain.clone()),
                version: Some(*version),
            })
            .collect();
        let rest = onnx::ModelProto {
            ir_version: Some(ir_version),
            opset_import,
            ..onnx::ModelProto::default()
        };
        let constants_are_inputs = Self::constants_are_inputs(ir_version);
        Self { graph, external_data: false, constants_are_inputs, rest }
    }

    /// Whether an IR version knows no initializers but those that are inputs.
    pub(crate) fn constants_are_inputs(ir_version: i64) -> bool {
        ir_version < 4
    }

    /// `ModelProto.ir_version`.
    #[must_use]
    pub fn ir_version(&self) -> i64 {
        self.rest.ir_version.unwrap_or(0)
    }

    /// The imported operator sets.
    #[must_use]
    pub fn opsets(&self) -> &OpsetImports {
        &self.graph.opsets
    }

    /// `ModelProto.producer_name`.
    #[must_use]
    pub fn producer_name(&self) -> &str {
        self.rest.producer_name.as_deref().unwrap_or("")
    }

    /// `ModelProto.metadata_props`, in the file's order.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rest
            .metadata_props
            .iter()
            .map(|entry| (entry.key.as_deref().unwrap_or(""), entry.value.as_deref().unwrap_or("")))
    }

    /// The model-local functions, as `(domain, name)`.
    pub fn functions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.rest.functions.iter().map(|function| {
            (function.domain.as_deref().unwrap_or(""), function.name.as_deref().unwrap_or(""))
        })
    }

    /// Whether the model says how it is trained.
    #[must_use]
    pub fn has_training(&self) -> bool {
        !self.rest.training_info.is_empty()
    }

    /// Imports `domain` at `version` if the model does not import it yet.
    pub fn import_opset(&mut self, domain: &str, version: i64) {
        if self.opsets().version(domain).is_some() {
            return;
        }
        self.rest.opset_import.push(onnx::OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        });
        self.renew_opsets();
    }

    /// States that graph and subgraphs are written in version `opset` of ONNX's own operator set,
    /// and an IR version that has it. The nodes are not looked at, nor are functions: they import
    /// operator sets of their own.
    pub fn set_opset(&mut self, opset: i64) {
        let standard = |import: &&mut onnx::OperatorSetIdProto| {
            matches!(import.domain.as_deref(), None | Some("" | "ai.onnx"))
        };
        for import in self.rest.opset_import.iter_mut().filter(standard) {
            import.version = Some(opset);
        }
        // Before IR version 4 every initializer is an input.
        let needed = crate::schema::ir_version(opset).max(4);
        self.rest.ir_version = Some(self.ir_version().max(needed));
        self.renew_opsets();
    }

    /// Gives graph and subgraphs the operator sets the model states.
    fn renew_opsets(&mut self) {
        let imports = self.rest.opset_import.iter();
        let opsets = OpsetImports::new(
            imports.map(|i| (i.domain.clone().unwrap_or_default(), i.version.unwrap_or(0))),
        );
        self.graph.share_opsets(&Arc::new(opsets));
    }
}

impl Graph {
    fn share_opsets(&mut self, opsets: &Arc<OpsetImports>) {
        self.opsets = opsets.clone();
        self.for_each_subgraph(&mut |graph| graph.share_opsets(opsets));
    }

    fn for_each_subgraph(&mut self, visit: &mut dyn FnMut(&mut Graph)) {
        for attribute in self.nodes.iter_mut().flatten().flat_map(|node| &mut node.attributes) {
            if let AttributeValue::Graph(graph) = &mut attribute.value {
                visit(graph);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{NewNode, Patch, text};
    use std::convert::Infallible;

    const MODEL: &str = "g (float[2] x, bool c) => (float[2] y)
        {
            a = Abs(x)
            y = If (c) <
                then_branch = t () => (float[2] u) { u = Relu(a) },
                else_branch = e () => (float[2] v) { v = Abs(x) }
            >
        }";

    #[test]
    fn new_names_are_new_in_the_whole_model() {
        let mut model = text::parse(MODEL).expect("the text is valid");
        let edited = model.edit_graphs(|graph| {
            let made = graph.nodes().find(|(_, node)| node.is("Abs") || node.is("Relu"));
            let (id, node) = made.expect("every graph has such a node");
            let output = node.output(0).expect("it has an output");
            let mut patch = Patch::default();
            let node = patch.node(NewNode::like(graph, id).output_name("new"));
            let next = patch.node(NewNode::new("Neg").input(node));
            patch.replace(output, next);
            graph.apply(patch).map(|_| true)
        });
        assert_eq!(edited, Ok(true));
        assert_eq!(model.validate(), Vec::new());
        insta::assert_snapshot!(text::print(&model.graph), @r"
        g (float[2] x, bool c) => (float[2] y)
        {
            new = Abs(x)
            a = Neg(new)
            y = If(c) <
                then_branch = t () => (float[2] u)
                {
                    new_1 = Relu(a)
                    u = Neg(new_1)
                },
                else_branch = e () => (float[2] v)
                {
                    new_2 = Abs(x)
                    v = Neg(new_2)
                }
            >
        }
        ");
    }

    #[test]
    fn operator_sets_reach_subgraphs() {
        let mut model = text::parse(MODEL).expect("the text is valid");
        model.import_opset("local", 3);
        model.set_opset(23);
        let mut versions = Vec::new();
        let looked = model.edit_graphs(|graph| {
            versions.push((graph.opset(), graph.opsets().version("local")));
            Ok::<_, Infallible>(false)
        });
        assert_eq!(looked, Ok(false));
        assert_eq!(versions, [(23, Some(3)); 3]);
        assert_eq!((model.opsets().standard(), model.ir_version()), (Some(23), 11));
    }
}
