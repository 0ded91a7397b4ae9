//! The reports of the verbs that change or compare models.
use super::blocks::Blocks;
use super::factorization::Factors;
use super::pruning::Pruning;
use super::quantization::Expected;
use super::sparsity::Sparsity;
use super::{Progress, grouped, json, layers, percent, signed, table};
use lapidary::ir::Model;
use lapidary::passes::factorize::Factorization;
use lapidary::passes::prune::compensated::DroppedBlocks;
use lapidary::passes::quantize::equalize::FloatChange;
use lapidary::passes::quantize::qoperator::OperatorForm;
use lapidary::passes::quantize::refine::{RefineStep, Refined};
use lapidary::passes::quantize::{Prediction, QuantizationPlan};
use lapidary::passes::{Accuracy, Record, Reverted};
use lapidary::{Amount, Cost, Cut, Error, Evaluation, LayerError, Proof, Reference};
use serde::Serialize;
use std::collections::BTreeMap;

/// Values the report of a check names at most; JSON has all.
const MAX_NAMED: usize = 5;

/// The steps of a model with what each costs and loses.
pub(crate) struct Road<'a> {
    command: &'static str,
    reference: Option<&'a Reference>,
    report: RoadReport,
}

#[derive(Serialize)]
struct RoadReport {
    samples: Option<usize>,
    steps: Vec<Step>,
    passes: Vec<PassReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placement: Option<Placement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integer_operators: Option<IntegerOperators>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prediction: Option<Expected>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    float_changes: Vec<Change>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refinement: Vec<Refinement>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unrefined: BTreeMap<&'static str, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search: Option<Searched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocks: Option<Blocks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruning: Option<Pruning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factorization: Option<Factors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sparsity: Option<Sparsity>,
}

/// What computes on integers by itself, and what stays between conversions.
#[derive(Serialize)]
struct IntegerOperators {
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

/// What was taken back to floating point for the gates.
#[derive(Serialize)]
struct Searched {
    /// Models that were quantized and measured.
    trials: usize,
    float: Vec<String>,
}

/// What was changed in floating point.
#[derive(Serialize)]
struct Change {
    step: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alpha: Option<f64>,
    changed: Vec<String>,
    left_alone: BTreeMap<String, Vec<String>>,
}

/// A step of refinement, judged on samples that were kept out.
#[derive(Serialize)]
struct Refinement {
    step: &'static str,
    kept: bool,
    sqnr_db_before: f64,
    sqnr_db_after: f64,
}

#[derive(Serialize)]
struct Step {
    name: String,
    #[serde(flatten)]
    cost: Cost,
    accuracy: Option<f64>,
    outputs: Vec<lapidary::OutputError>,
}

#[derive(Serialize)]
struct PassReport {
    pass: String,
    rewrites: usize,
    /// Nodes added, less those removed.
    nodes: i64,
    /// Bytes of initializers added, less those removed.
    bytes: i64,
    seconds: f64,
    left_alone: BTreeMap<String, usize>,
}

#[derive(Serialize)]
struct Placement {
    integer: usize,
    total: usize,
    float: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    already: Option<Already>,
    #[serde(skip)]
    explain: bool,
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

impl From<&Record> for PassReport {
    fn from(record: &Record) -> Self {
        Self {
            pass: record.pass.to_owned(),
            rewrites: record.rewrites,
            nodes: record.nodes,
            bytes: record.bytes,
            seconds: record.time.as_secs_f64(),
            left_alone: record.skips.clone(),
        }
    }
}

impl<'a> Road<'a> {
    /// The road of a verb, from `original` on, measured against `reference` if there are samples.
    pub(crate) fn new(
        command: &'static str,
        original: &Model,
        reference: Option<&'a Reference>,
    ) -> Self {
        let start = Step {
            name: "original".to_owned(),
            cost: Cost::of(original),
            accuracy: reference.and_then(|reference| reference.accuracy),
            outputs: Vec::new(),
        };
        let samples = reference.map(Reference::samples);
        let report = RoadReport {
            samples,
            steps: vec![start],
            passes: Vec::new(),
            placement: None,
            integer_operators: None,
            prediction: None,
            float_changes: Vec::new(),
            refinement: Vec::new(),
            search: None,
            blocks: None,
            pruning: None,
            factorization: None,
            unrefined: BTreeMap::new(),
            sparsity: None,
        };
        Self { command, reference, report }
    }

    /// Measures the model after a step.
    pub(crate) fn step(&mut self, name: &str, model: &Model) -> Result<Option<Evaluation>, Error> {
        let measuring = self.reference.map(|reference| {
            Progress::start(format!("{name}: measuring on {} samples", reference.samples()))
        });
        let evaluation = self.reference.map(|reference| reference.evaluate(model)).transpose()?;
        drop(measuring);
        self.report.steps.push(Step {
            name: name.to_owned(),
            cost: Cost::of(model),
            accuracy: evaluation.as_ref().and_then(|evaluation| evaluation.accuracy),
            outputs: evaluation.as_ref().map(|e| e.outputs.clone()).unwrap_or_default(),
        });
        Ok(evaluation)
    }

    /// Adds what passes did.
    pub(crate) fn passes(&mut self, records: &[Record]) {
        self.report.passes.extend(records.iter().map(PassReport::from));
    }

    /// Adds which operators on integers were written.
    pub(crate) fn operators(&mut self, form: &OperatorForm) {
        let mut left: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for node in &form.left {
            let reason = node.reason.clone().unwrap_or_default();
            left.entry((node.op_type.clone(), reason)).or_default().push(node.node.clone());
        }
        let left = left.into_iter();
        let left = left.map(|((op_type, reason), nodes)| LeftBetween { op_type, reason, nodes });
        let written = form.written.clone();
        self.report.integer_operators = Some(IntegerOperators { written, left: left.collect() });
    }

    /// Adds what a runtime will do.
    pub(crate) fn expect(&mut self, prediction: &Prediction) {
        self.report.prediction = Some(Expected::from(prediction));
    }

    /// Adds what was changed in floating point.
    pub(crate) fn changes(&mut self, changes: &[FloatChange]) {
        let change = |change: &FloatChange| Change {
            step: change.name,
            alpha: change.alpha,
            changed: change.changed.clone(),
            left_alone: change.left_alone.clone(),
        };
        self.report.float_changes = changes.iter().map(change).collect();
    }

    /// Adds what was tried for accuracy.
    pub(crate) fn refinement(&mut self, refined: &Refined) {
        let refinement = |step: &RefineStep| Refinement {
            step: step.name,
            kept: step.kept(),
            sqnr_db_before: step.before,
            sqnr_db_after: step.after,
        };
        self.report.refinement = refined.steps.iter().map(refinement).collect();
        self.report.unrefined.clone_from(&refined.unrefined);
    }

    /// Adds what was taken back to floating point for the gates, after so many trials.
    pub(crate) fn search(&mut self, trials: usize, float: Vec<String>) {
        self.report.search = Some(Searched { trials, float });
    }

    /// Adds the blocks that went.
    pub(crate) fn blocks(&mut self, dropped: &DroppedBlocks) {
        self.report.blocks = Some(Blocks::new(dropped));
    }

    /// Adds what was pruned.
    pub(crate) fn pruned(&mut self, cut: &Cut, amount: Amount, on_data: bool) {
        self.report.pruning = Some(Pruning::new(cut, amount, on_data));
    }

    /// Adds what was factorized.
    pub(crate) fn factorization(&mut self, found: &Factorization, explain: bool) {
        self.report.factorization = Some(Factors::new(found, explain));
    }

    /// Adds which weights are zero.
    pub(crate) fn sparsity(&mut self, sparsity: Sparsity) {
        self.report.sparsity = Some(sparsity);
    }

    /// Adds which nodes run as integers.
    pub(crate) fn placement(&mut self, plan: &QuantizationPlan, explain: bool) {
        let mut float: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in plan.nodes.iter().filter(|node| !node.integer && !node.is_quantized_already()) {
            let reason = node.reason.clone().unwrap_or_else(|| "left in float".to_owned());
            float.entry(reason).or_default().push(format!("{} ({})", node.node, node.op_type));
        }
        let integer = plan.nodes.iter().filter(|node| node.integer).count();
        self.report.placement = Some(Placement {
            integer,
            total: plan.nodes.len(),
            float,
            already: Already::of(plan),
            explain,
        });
    }
}

/// Prints the road.
pub(crate) fn road(road: &Road, as_json: bool) {
    if as_json {
        return json(road.command, &road.report);
    }
    let report = &road.report;
    let measured = report.samples.is_some();
    let labelled = report.steps.iter().any(|step| step.accuracy.is_some());
    let mut header = vec!["step", "nodes", "parameters", "bytes", "MACs"];
    if measured {
        header.extend(["max rel. error", "SQNR", "agreement"]);
    }
    if labelled {
        header.push("accuracy");
    }
    let rows = report.steps.iter().map(|step| row(step, measured, labelled)).collect();
    println!("{}", table(&header, rows));
    if let (Some(first), Some(last)) = (report.steps.first(), report.steps.last()) {
        let share = last.cost.bytes as f64 / first.cost.bytes.max(1) as f64;
        println!("\n{} of the bytes", percent(share));
    }
    if let Some(samples) = report.samples {
        println!("errors against the original, executed on {samples} samples");
    }
    report.float_changes.iter().for_each(change_lines);
    for Refinement { step, kept, sqnr_db_before, sqnr_db_after } in &report.refinement {
        let verdict = if *kept { "kept" } else { "left out" };
        println!(
            "{step}: {sqnr_db_before:.2} to {sqnr_db_after:.2} dB on samples kept out, {verdict}"
        );
    }
    for (reason, weights) in &report.unrefined {
        println!("not refined: {} products: {reason}", weights.len());
    }
    if let Some(Searched { trials, float }) = &report.search {
        println!("{} products stay in float for the gates, after {trials} trials", float.len());
        for name in float {
            println!("  {name}");
        }
    }
    if let Some(factorization) = &report.factorization {
        factorization.print();
    }
    left_alone(&report.passes);
    if let Some(blocks) = &report.blocks {
        blocks.print();
    }
    if let Some(pruning) = &report.pruning {
        pruning.print();
    }
    if let Some(sparsity) = &report.sparsity {
        sparsity.print();
    }
    if let Some(placement) = &report.placement {
        placement_lines(placement);
    }
    if let Some(IntegerOperators { written, left }) = &report.integer_operators {
        let counted = |(op_type, count): (&String, &usize)| format!("{count} {op_type}");
        let counts: Vec<String> = written.iter().map(counted).collect();
        let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
        println!("operators on integers: {counts}");
        for LeftBetween { op_type, reason, nodes } in left {
            println!("{} {op_type} between conversions: {reason}", nodes.len());
        }
    }
    if let Some(prediction) = &report.prediction {
        prediction.print();
    }
}

fn change_lines(Change { step, alpha, changed, left_alone }: &Change) {
    let alpha = alpha.map_or_else(String::new, |alpha| format!(" with alpha {alpha}"));
    println!("{step}: changed {} products{alpha}", changed.len());
    for (reason, nodes) in left_alone {
        println!("{step}: left {} alone: {reason}", nodes.len());
    }
}

fn row(step: &Step, measured: bool, labelled: bool) -> Vec<String> {
    let Cost { nodes, parameters, bytes, macs } = step.cost;
    let mut row = vec![step.name.clone()];
    row.extend([nodes as u64, parameters, bytes, macs].map(grouped));
    if measured {
        row.extend(errors(step));
    }
    if labelled {
        row.push(step.accuracy.map_or_else(|| "-".to_owned(), percent));
    }
    row
}

/// Worst error over the outputs.
fn errors(step: &Step) -> [String; 3] {
    if step.outputs.is_empty() {
        return ["-".to_owned(), "-".to_owned(), "-".to_owned()];
    }
    let rel = step.outputs.iter().map(|output| output.max_rel).fold(0.0, f64::max);
    let sqnr = step.outputs.iter().filter_map(|output| output.sqnr_db).reduce(f64::min);
    let agreement = step.outputs.iter().filter_map(|output| output.agreement).reduce(f64::min);
    [
        format!("{rel:.1e}"),
        sqnr.map_or_else(|| "equal".to_owned(), |db| format!("{db:.1} dB")),
        agreement.map_or_else(|| "-".to_owned(), percent),
    ]
}

fn left_alone(passes: &[PassReport]) {
    let lossy = passes.iter().filter(|pass| pass.pass.starts_with("prune-"));
    for pass in lossy {
        for (reason, count) in &pass.left_alone {
            println!("{}: left {count} alone: {reason}", pass.pass);
        }
    }
}

fn placement_lines(placement: &Placement) {
    println!("{} of {} nodes run as integers", placement.integer, placement.total);
    if let Some(already) = &placement.already {
        already.print(placement.explain);
    }
    print_reasons("float", &placement.float, placement.explain);
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

/// What `optimize` did.
pub(crate) struct OptimizeReport<'a> {
    /// The cost of the original.
    pub(crate) before: Cost,
    /// The cost of the result.
    pub(crate) after: Cost,
    /// What each pass did.
    pub(crate) passes: &'a [Record],
    /// Passes whose work was undone.
    pub(crate) reverted: &'a [Reverted],
    /// How the result was checked.
    pub(crate) verification: Verification,
}

/// How a result was checked.
#[derive(Default, Serialize)]
pub(crate) struct Verification {
    /// Whether everything that could differ was executed.
    executed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_executed_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation: Option<Evaluation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<f64>,
    /// What was found piece by piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
}

impl Verification {
    /// Not executed, with the reason.
    pub(crate) fn skipped(why: &str) -> Self {
        Self { not_executed_because: Some(why.to_owned()), ..Self::default() }
    }

    /// Executed on `source`, with differences up to `allowed`.
    pub(crate) fn done(source: &str, evaluation: Evaluation, allowed: f64) -> Self {
        Self {
            executed: true,
            on: Some(source.to_owned()),
            evaluation: Some(evaluation),
            allowed: Some(allowed),
            ..Self::default()
        }
    }

    /// Proved piece by piece.
    pub(crate) fn proved(proof: Proof) -> Self {
        Self {
            executed: true,
            on: Some("random numbers".to_owned()),
            allowed: Some(Accuracy::Rounding.tolerance()),
            proof: Some(proof),
            ..Self::default()
        }
    }

    /// The same after an attempt to prove it piece by piece.
    pub(crate) fn with(self, proof: Proof) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// Whether everything that could differ was executed.
    pub(crate) fn is_executed(&self) -> bool {
        self.executed
    }
}

#[derive(Serialize)]
struct OptimizeJson<'a> {
    before: Cost,
    after: Cost,
    passes: Vec<PassReport>,
    reverted: BTreeMap<&'a str, &'a str>,
    verification: &'a Verification,
}

/// Prints what `optimize` did.
pub(crate) fn optimize<'a>(report: &OptimizeReport<'a>, explain: bool, as_json: bool) {
    let passes: Vec<PassReport> = report.passes.iter().map(PassReport::from).collect();
    if as_json {
        let (before, after) = (report.before, report.after);
        let verification = &report.verification;
        let named = |reverted: &'a Reverted| (reverted.pass, reverted.reason.as_str());
        let reverted = report.reverted.iter().map(named).collect();
        return json("optimize", &OptimizeJson { before, after, passes, reverted, verification });
    }
    let line = |name: &str, cost: Cost| {
        let mut row = vec![name.to_owned()];
        row.extend([cost.nodes as u64, cost.parameters, cost.bytes, cost.macs].map(grouped));
        row
    };
    let rows = vec![line("original", report.before), line("optimized", report.after)];
    println!("{}\n", table(&["", "nodes", "parameters", "bytes", "MACs"], rows));
    ledger(&passes, explain);
    for Reverted { pass, reason } in report.reverted {
        println!("{pass}: left out: {reason}");
    }
    if explain {
        for pass in &passes {
            for (reason, count) in &pass.left_alone {
                println!("{}: left {count} alone: {reason}", pass.pass);
            }
        }
    }
    println!("{}", verification_line(&report.verification));
}

/// What each pass that did something did, and on request how long it took.
fn ledger(passes: &[PassReport], with_time: bool) {
    let mut header = vec!["pass", "rewrites", "nodes", "bytes"];
    if with_time {
        header.push("ms");
    }
    let row = |pass: &PassReport| {
        let mut row = vec![pass.pass.clone(), grouped(pass.rewrites as u64)];
        row.extend([signed(pass.nodes), signed(pass.bytes)]);
        if with_time {
            row.push(format!("{:.1}", 1000.0 * pass.seconds));
        }
        row
    };
    let rows: Vec<_> = passes.iter().filter(|pass| pass.rewrites > 0).map(row).collect();
    if !rows.is_empty() {
        println!("{}\n", table(&header, rows));
    }
}

fn verification_line(verification: &Verification) -> String {
    let allowed = verification.allowed.unwrap_or_default();
    if let Some(evaluation) = &verification.evaluation {
        let on = verification.on.as_deref().unwrap_or_default();
        let error = evaluation.max_rel();
        return format!(
            "validated and executed on {on}: largest relative difference {error:.1e}, allowed {allowed:.1e}"
        );
    }
    let why = verification.not_executed_because.as_deref();
    let Some(proof) = &verification.proof else {
        return format!("validated, not executed: {}", why.unwrap_or_default());
    };
    let Proof { by_construction, by_execution, max_rel, not_executable, .. } = proof;
    let changed = by_execution + not_executable.len();
    let mut line = format!("validated, {by_construction} values the same by construction");
    if *by_execution > 0 {
        line += &format!(
            ", {by_execution} of {changed} changed values executed: \
             largest relative difference {max_rel:.1e}, allowed {:.1e}",
            Accuracy::Rounding.tolerance()
        );
    }
    for value in not_executable.iter().take(MAX_NAMED) {
        line += &format!("\nnot executed: `{}`: {}", value.value, value.reason);
    }
    if not_executable.len() > MAX_NAMED {
        line += &format!("\nnot executed: {} more", not_executable.len() - MAX_NAMED);
    }
    if let Some(why) = why {
        line += &format!("\nnot executed as a whole: {why}");
    }
    line
}

#[derive(Serialize)]
struct VerifyJson<'a> {
    samples: usize,
    accuracy_before: Option<f64>,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<&'a [LayerError]>,
}

/// Prints how two models compare: the outputs, and the values inside if that was asked for.
pub(crate) fn verify(
    reference: &Reference,
    evaluation: &Evaluation,
    inside: Option<&[LayerError]>,
    as_json: bool,
) {
    if as_json {
        let report = VerifyJson {
            samples: reference.samples(),
            accuracy_before: reference.accuracy,
            evaluation,
            layers: inside,
        };
        return json("verify", &report);
    }
    if let Some(errors) = inside {
        layers(errors);
        println!();
    }
    let row = |output: &lapidary::OutputError| {
        vec![
            output.name.clone(),
            format!("{:.3e}", output.max_abs),
            format!("{:.3e}", output.max_rel),
            output.sqnr_db.map_or_else(|| "equal".to_owned(), |db| format!("{db:.2} dB")),
            output.agreement.map_or_else(|| "-".to_owned(), percent),
        ]
    };
    let rows = evaluation.outputs.iter().map(row).collect();
    let header = ["output", "max abs. error", "max rel. error", "SQNR", "agreement"];
    println!("{}", table(&header, rows));
    if let (Some(before), Some(after)) = (reference.accuracy, evaluation.accuracy) {
        println!("\naccuracy {} → {}", percent(before), percent(after));
    }
    println!("\nexecuted on {} samples", reference.samples());
}
