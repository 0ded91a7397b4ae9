//! Which nodes run as integers.
use lapidary::passes::quantize::QuantizationPlan;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which nodes run as integers, and why the others do not.
#[derive(Serialize)]
pub(super) struct Placement {
    integer: usize,
    total: usize,
    float: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already: Option<Already>,
    #[serde(skip)]
    explain: bool,
}

impl Placement {
    pub(super) fn new(plan: &QuantizationPlan, explain: bool) -> Self {
        let mut float: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in plan.nodes.iter().filter(|node| !node.integer && !node.is_quantized_already()) {
            let reason = node.reason.clone().unwrap_or_else(|| "left in float".to_owned());
            float.entry(reason).or_default().push(format!("{} ({})", node.node, node.op_type));
        }
        let integer = plan.nodes.iter().filter(|node| node.integer).count();
        let already = Already::of(plan);
        Self { integer, total: plan.nodes.len(), float, already, explain }
    }

    pub(super) fn print(&self) {
        println!("{} of {} nodes run as integers", self.integer, self.total);
        if let Some(already) = &self.already {
            already.print(self.explain);
        }
        print_reasons("float", &self.float, self.explain);
    }
}

/// What was quantized before.
#[derive(Serialize)]
struct Already {
    /// By operator, how many nodes.
    operators: BTreeMap<String, usize>,
    /// Nodes that miss something.
    incomplete: BTreeMap<String, Vec<String>>,
    /// How many of their biases are integers now, and were not.
    biases: usize,
}

impl Already {
    /// Nothing for a plan of a model in floating point.
    fn of(plan: &QuantizationPlan) -> Option<Self> {
        plan.quantized_already().next()?;
        let readers = || plan.weights.iter().flat_map(|weights| &weights.readers);
        let new = |output: &str| readers().any(|reader| reader.output == output);
        let biases = plan.biases.iter().filter(|bias| !new(&bias.reader.output)).count();
        let mut already = Self { operators: BTreeMap::new(), incomplete: BTreeMap::new(), biases };
        for node in plan.quantized_already() {
            *already.operators.entry(node.op_type.clone()).or_default() += 1;
            if let Some((_, missing)) = node.reason.as_ref().and_then(|it| it.split_once("; ")) {
                let nodes = already.incomplete.entry(missing.to_owned()).or_default();
                nodes.push(format!("{} ({})", node.node, node.op_type));
            }
        }
        Some(already)
    }

    fn print(&self, explain: bool) {
        let converts = |op_type: &str| op_type.ends_with("uantizeLinear");
        let operators = self.operators.iter().filter(|(op_type, _)| !converts(op_type));
        let operators: Vec<String> =
            operators.map(|(op_type, count)| format!("{count} {op_type}")).collect();
        if !operators.is_empty() {
            println!("  quantized already: {}", operators.join(", "));
        }
        if self.biases > 0 {
            println!("  their biases, int32 now: {}", self.biases);
        }
        print_reasons("incomplete", &self.incomplete, explain);
    }
}

/// Prints which nodes are something for a reason, or how many.
fn print_reasons(what: &str, reasons: &BTreeMap<String, Vec<String>>, explain: bool) {
    for (reason, nodes) in reasons {
        if explain {
            println!("  {what}: {}: {reason}", nodes.join(", "));
        } else {
            println!("  {what}: {} nodes: {reason}", nodes.len());
        }
    }
}
