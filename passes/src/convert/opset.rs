//! A newer operator set.
use super::change::{Change, Reason, Site};
use crate::{Context, Pass, PassError, PassInfo};
use lapidary_ir::{Graph, Model, NodeId, Patch, PatchError, schema};
use std::collections::BTreeSet;

/// The oldest operator set that is converted.
const OLDEST: i64 = 7;

crate::pass! {
    /// Raises the version of ONNX's own operator set that a model is written in.
    ///
    /// Each node is rewritten version by version, so that it means the same in the newer one. When
    /// that is not known of one node, in the graph or in a subgraph, nothing is changed. Functions
    /// of the model import operator sets of their own and stay as they are. `optimize --opset N`
    /// chooses the version; by itself the pass raises it to 21.
    ///
    /// ```onnx
    /// <ir_version: 7, opset_import: ["" : 12]>
    /// g (float[2,1,3] x) => (float[2,3] y)
    /// {
    ///     a = ReduceSum <axes = [1]> (x)
    ///     y = Squeeze <axes = [1]> (a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 10, opset_import: ["" : 21]>
    /// g (float[2,1,3] x) => (float[2,3] y)
    /// <int64[1] a_axes = {1}, int64[1] y_axes = {1}>
    /// {
    ///     a = ReduceSum(x, a_axes)
    ///     y = Squeeze(a, y_axes)
    /// }
    /// ```
    pub struct ConvertOpset {
        /// The version wanted.
        pub target: i64,
    }
    name: "convert-opset",
    accuracy: Rounding,
    emits: ["Expand", "Flatten", "Reshape", "Resize", "ScatterElements", "Shape"],
}

/// Why a model can't be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// The model is newer.
    #[error(
        "the model imports opset {found}, which is newer than {target}: versions are only raised"
    )]
    Lower {
        /// The version it imports.
        found: i64,
        /// The version wanted.
        target: i64,
    },
    /// The version is not known.
    #[error("opset {target} is not known, the newest is {}", schema::NEWEST_OPSET)]
    Unknown {
        /// The version wanted.
        target: i64,
    },
    /// The model is too old, or does not import ONNX's own operators.
    #[error("the model imports opset {found}, the oldest that is converted is {OLDEST}")]
    TooOld {
        /// The version it imports, 0 for none.
        found: i64,
    },
    /// The model says how to train it, in operators of the same version.
    #[error("the model says how it is trained, which is not converted")]
    Training,
    /// There are nodes nobody knows how to convert.
    #[error("{} can't be converted: {}", count(.0), list(.0))]
    Nodes(Vec<Refused>),
    /// A table of conversions is at fault.
    #[error("a conversion wrote a patch that can't be applied")]
    Patch(#[source] PatchError),
}

/// A node that can't be converted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// Its name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The operator set that changed the operator.
    pub since: i64,
    /// Why.
    pub reason: &'static str,
}

fn count(refused: &[Refused]) -> String {
    if refused.len() == 1 { "1 node".to_owned() } else { format!("{} nodes", refused.len()) }
}

fn list(refused: &[Refused]) -> String {
    let lines: Vec<String> = refused
        .iter()
        .map(|r| format!("`{}` ({}): since opset {}, {}", r.node, r.op_type, r.since, r.reason))
        .collect();
    lines.join("; ")
}

impl Pass for ConvertOpset {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        let record = context.record(&Self::INFO);
        match self.convert(model) {
            Ok(rewrites) => record.rewrites += rewrites,
            Err(ConvertError::Nodes(nodes)) => {
                nodes
                    .into_iter()
                    .for_each(|node| record.skip(format!("{}: {}", node.op_type, node.reason)));
            }
            Err(ConvertError::Patch(source)) => {
                return Err(PassError::Patch { pass: Self::INFO.name, source });
            }
            Err(error) => record.skip(error.to_string()),
        }
        Ok(())
    }
}

impl ConvertOpset {
    /// Converts a model. Returns the number of nodes written differently, and counts the new
    /// version itself as one.
    ///
    /// # Errors
    /// When the version or a node can't be converted; the model is then unchanged.
    pub fn convert(&self, model: &mut Model) -> Result<usize, ConvertError> {
        let (found, target) = (model.opsets().standard().unwrap_or(0), self.target);
        if found == target {
            return Ok(0);
        }
        if target > schema::NEWEST_OPSET {
            return Err(ConvertError::Unknown { target });
        }
        if found > target {
            return Err(ConvertError::Lower { found, target });
        }
        if found < OLDEST {
            return Err(ConvertError::TooOld { found });
        }
        if model.has_training() {
            return Err(ConvertError::Training);
        }
        let mut conversion = Conversion { target, ..Conversion::default() };
        let functions = model.functions().filter(|(domain, _)| matches!(*domain, "" | "ai.onnx"));
        conversion.functions = functions.map(|(_, name)| name.to_owned()).collect();
        let mut converted = model.clone();
        for version in found + 1..=target {
            converted.set_opset(version);
            converted
                .edit_graphs(|graph| conversion.step(graph, version))
                .map_err(ConvertError::Patch)?;
        }
        if !conversion.refused.is_empty() {
            return Err(ConvertError::Nodes(conversion.refused));
        }
        converted.graph.infer();
        *model = converted;
        Ok(conversion.rewrites + 1)
    }
}

/// What is found on the way.
#[derive(Default)]
struct Conversion {
    target: i64,
    /// Operators of ONNX's own domain that are functions of the model.
    functions: BTreeSet<String>,
    refused: Vec<Refused>,
    seen: BTreeSet<(String, String)>,
    rewrites: usize,
}

impl Conversion {
    /// Converts the nodes of one graph to `version` from the one before. Whether any changed.
    fn step(&mut self, graph: &mut Graph, version: i64) -> Result<bool, PatchError> {
        let before = self.rewrites;
        for id in graph.topological_order() {
            let Some(node) = graph.get_node(id) else { continue };
            if !node.is_standard() || self.functions.contains(&node.op_type) {
                continue;
            }
            match self.patch(graph, id, version) {
                Err(reason) => self.refuse(graph, id, version, reason),
                Ok(patch) if patch.is_empty() => {}
                Ok(patch) => {
                    self.rewrites += 1;
                    graph.apply(patch)?;
                }
            }
        }
        Ok(self.rewrites > before)
    }

    fn patch(&self, graph: &Graph, id: NodeId, version: i64) -> Result<Patch, Reason> {
        let op_type = graph[id].op_type.as_str();
        let mut patch = Patch::default();
        let Some(operator) = schema::operator(op_type) else {
            return Err("ONNX has no such operator");
        };
        if !operator.versions.iter().any(|known| known.since == version) {
            return Ok(patch);
        }
        match super::find(op_type, version) {
            None => return Err("it is not known how it changed"),
            Some(Change::Same(_)) => {}
            Some(Change::Refuse(reason)) => return Err(reason),
            Some(Change::Adapt(adapt)) => {
                adapt(&Site { graph, id, target: self.target }, &mut patch)?;
            }
        }
        Ok(patch)
    }

    fn refuse(&mut self, graph: &Graph, id: NodeId, since: i64, reason: Reason) {
        let (node, op_type) = (graph[id].label(graph).to_owned(), graph[id].op_type.clone());
        if self.seen.insert((node.clone(), op_type.clone())) {
            self.refused.push(Refused { node, op_type, since, reason });
        }
    }
}
