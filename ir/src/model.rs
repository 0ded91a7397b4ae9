//! The model: a graph and what stands around it.
use crate::Graph;
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

    /// Imports `domain` at `version` if the model does not import it yet.
    pub fn import_opset(&mut self, domain: &str, version: i64) {
        if self.opsets().version(domain).is_some() {
            return;
        }
        self.rest.opset_import.push(onnx::OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        });
        let entries = self.opsets().entries().iter().cloned();
        let opsets = OpsetImports::new(entries.chain([(domain.to_owned(), version)]));
        self.graph.opsets = Arc::new(opsets);
    }
}
