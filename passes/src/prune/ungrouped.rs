//! Products and recurrences whose channels can't be followed.
use super::analysis::Analysis;
use super::heads::Heads;
use super::propagate::weight_behind;
use super::relations::Relations;
use lapidary_ir::{Graph, NodeId};
use std::collections::BTreeSet;

/// A node with weights that is in no group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ungrouped {
    /// The node.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// Why its channels stay.
    pub reasons: Vec<String>,
}

/// Operators that multiply by weights.
const PRODUCTS: [&str; 18] = [
    "Attention",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "Einsum",
    "FusedConv",
    "FusedMatMul",
    "GRU",
    "Gemm",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "MatMulNBits",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
];

impl Analysis {
    /// The nodes of the graph that multiply by weights and are in no group, in order of the graph.
    #[must_use]
    pub fn ungrouped(&self, graph: &Graph) -> Vec<Ungrouped> {
        let members = self.groups.iter().flat_map(|group| &group.members);
        let grouped: BTreeSet<&str> = members.map(|member| member.node.as_str()).collect();
        let relations = Relations::of(graph, Heads::default());
        let describe = |id: NodeId| {
            let node = &graph[id];
            let product = PRODUCTS.contains(&node.op_type.as_str());
            if !product || grouped.contains(node.label(graph)) {
                return None;
            }
            Some(Ungrouped {
                node: node.label(graph).to_owned(),
                op_type: node.op_type.clone(),
                reasons: reasons(graph, id, &relations),
            })
        };
        graph.topological_order().into_iter().filter_map(describe).collect()
    }
}

fn reasons(graph: &Graph, id: NodeId, relations: &Relations) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    let own = relations.pins.iter().filter(|pin| pin.node == Some(id));
    for pin in own {
        let reason = pin.why.to_string();
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let mut weights = graph[id].inputs().iter().skip(1).copied().flatten();
    if !weights.any(|value| weight_behind(graph, value).is_some()) {
        reasons.insert(0, "has no constant weights".to_owned());
    }
    if reasons.is_empty() {
        reasons.push("its weights make and read no channels that are followed".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    #[test]
    fn products_in_no_group_are_named_with_the_reason() {
        let model = model(
            "g (float[1,4,4] x, float[1,4,4] z) => (float[1,4,4] y)
            <float[4,4] w>
            {
                a = MatMul(x, z)
                b = MatMul(a, w)
                y = Relu(b)
            }",
        );
        let found = Analysis::of(&model.graph).ungrouped(&model.graph);
        let names: Vec<(&str, &str)> =
            found.iter().map(|node| (node.node.as_str(), node.reasons[0].as_str())).collect();
        assert_eq!(names, [("a", "has no constant weights")]);
    }
}
