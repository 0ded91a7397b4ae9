//! What computes on integers by itself.
use lapidary::passes::quantize::qoperator::OperatorForm;
use serde::Serialize;
use std::collections::BTreeMap;

/// What computes on integers by itself, and what stays between conversions.
#[derive(Serialize)]
pub(super) struct IntegerOperators {
    written: BTreeMap<String, usize>,
    left: Vec<LeftBetween>,
}

/// Nodes of one operator that stay between conversions for one reason.
#[derive(Serialize)]
struct LeftBetween {
    op_type: String,
    reason: String,
    nodes: Vec<String>,
}

impl IntegerOperators {
    pub(super) fn new(form: &OperatorForm) -> Self {
        let mut left: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for node in &form.left {
            let reason = node.reason.clone().unwrap_or_default();
            left.entry((node.op_type.clone(), reason)).or_default().push(node.node.clone());
        }
        let left = left.into_iter();
        let left = left.map(|((op_type, reason), nodes)| LeftBetween { op_type, reason, nodes });
        Self { written: form.written.clone(), left: left.collect() }
    }

    pub(super) fn print(&self) {
        let counted = |(op_type, count): (&String, &usize)| format!("{count} {op_type}");
        let counts: Vec<String> = self.written.iter().map(counted).collect();
        let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        println!("operators on integers: {counts}");
        for LeftBetween { op_type, reason, nodes } in &self.left {
            println!("{} {op_type} between conversions: {reason}", nodes.len());
        }
    }
}
