//! Visits nodes, asks rules, applies patches, counts; until nothing changes.
use crate::context::Context;
use crate::pass::{Pass, PassError, PassInfo, Rule};
use lapidary_ir::{Graph, Model, NodeId, Patch, schema};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Sweeps over a graph before rules that still rewrite are called a fault.
const MAX_ROUNDS: usize = 20;

/// Consumers this far below a change are visited again: the depth of the deepest pattern.
const PATTERN_DEPTH: usize = 4;

impl<R: Rule> Pass for R {
    fn info(&self) -> &'static PassInfo {
        Rule::info(self)
    }

    fn run(&self, model: &mut Model, context: &mut Context) -> Result<(), PassError> {
        run_rules(&[self], model, context)
    }

    fn as_rule(&self) -> Option<&dyn Rule> {
        Some(self)
    }
}

/// Runs passes in order; neighbouring rules run together until none of them fires.
///
/// # Errors
/// When a pass is at fault.
pub fn run(
    passes: &[&dyn Pass],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    model.graph.infer();
    let mut rest = passes;
    while let Some((first, tail)) = rest.split_first() {
        let rules: Vec<&dyn Rule> = rest.iter().map_while(|pass| pass.as_rule()).collect();
        if rules.is_empty() {
            if !context.is_exhausted() {
                first.run(model, context)?;
            }
            rest = tail;
        } else {
            rest = &rest[rules.len()..];
            run_rules(&rules, model, context)?;
        }
        if context.validate_each {
            check(first.info().name, model)?;
        }
    }
    Ok(())
}

/// Repeats `passes` until a whole round rewrites nothing.
///
/// # Errors
/// When a pass is at fault, or when the rounds do not end.
pub fn run_to_fixpoint(
    passes: &[&dyn Pass],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    for _ in 0..MAX_ROUNDS {
        let before: Vec<_> = context.records.iter().map(|r| (r.pass, r.rewrites)).collect();
        context.records.iter_mut().for_each(|record| record.skips.clear());
        run(passes, model, context)?;
        if context.records.iter().map(|r| (r.pass, r.rewrites)).eq(before) {
            return Ok(());
        }
    }
    let rules = passes.iter().map(|pass| pass.info().name).collect();
    Err(PassError::NoFixpoint { rounds: MAX_ROUNDS, rules })
}

/// Validates a model after `pass`.
///
/// # Errors
/// When it breaks an invariant.
pub fn check(pass: &'static str, model: &Model) -> Result<(), PassError> {
    let violations = model.validate();
    if violations.is_empty() { Ok(()) } else { Err(PassError::Invalid { pass, violations }) }
}

/// Runs `rules` together on the main graph until none of them fires.
///
/// # Errors
/// When a rule is at fault.
pub fn run_rules(
    rules: &[&dyn Rule],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    let mut allowed = Vec::new();
    for &rule in rules {
        match missing_opset(rule.info(), &model.graph) {
            None => allowed.push(rule),
            Some(reason) => context.record(rule.info()).skip(reason),
        }
        context.record(rule.info());
    }
    let rules = RuleSet::new(allowed);
    for _ in 0..MAX_ROUNDS {
        if !rules.sweep(&mut model.graph, context)? {
            return Ok(());
        }
    }
    let fired = context.records.iter().filter(|record| record.rewrites > 0);
    let rules = fired.map(|record| record.pass).collect();
    Err(PassError::NoFixpoint { rounds: MAX_ROUNDS, rules })
}

/// Why the model's operator sets do not have what a pass emits.
#[must_use]
pub fn missing_opset(info: &PassInfo, graph: &Graph) -> Option<String> {
    info.emits.iter().find_map(|op_type| {
        let first = schema::first_version(op_type)?;
        let found = graph.opset();
        (found < first).then(|| format!("{op_type} needs opset {first}, the model has {found}"))
    })
}

struct RuleSet<'a> {
    rules: Vec<&'a dyn Rule>,
    by_root: FxHashMap<&'static str, Vec<usize>>,
    any_root: Vec<usize>,
}

impl<'a> RuleSet<'a> {
    fn new(rules: Vec<&'a dyn Rule>) -> Self {
        let mut by_root: FxHashMap<&'static str, Vec<usize>> = FxHashMap::default();
        let mut any_root = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            if rule.roots().is_empty() {
                any_root.push(index);
            }
            for &root in rule.roots() {
                by_root.entry(root).or_default().push(index);
            }
        }
        Self { rules, by_root, any_root }
    }

    /// Visits every node once, and again whatever a rewrite touches. Whether anything fired.
    fn sweep(&self, graph: &mut Graph, context: &mut Context) -> Result<bool, PassError> {
        for rule in &self.rules {
            // The last sweep fires nothing and sees every remaining site: its reasons stay.
            context.record(rule.info()).skips.clear();
        }
        let mut waiting = WorkList::new(graph);
        let mut fired = false;
        while let Some(id) = waiting.pop() {
            if self.visit(graph, id, &mut waiting, context)? {
                fired = true;
            }
        }
        Ok(fired)
    }

    fn visit(
        &self,
        graph: &mut Graph,
        id: NodeId,
        waiting: &mut WorkList,
        context: &mut Context,
    ) -> Result<bool, PassError> {
        let mut fired = false;
        while let Some(node) = graph.get_node(id).filter(|_| !context.is_exhausted()) {
            let rooted =
                if node.is_standard() { self.by_root.get(node.op_type.as_str()) } else { None };
            let candidates = rooted.into_iter().flatten().chain(&self.any_root);
            let mut applied = false;
            for &index in candidates {
                let rule = self.rules[index];
                let mut patch = Patch::default();
                match rule.rewrite(graph, id, &mut patch) {
                    Err(skip) => context.record(rule.info()).answer(skip),
                    Ok(()) => {
                        let pass = rule.info().name;
                        let done = graph.apply(patch);
                        let done = done.map_err(|source| PassError::Patch { pass, source })?;
                        graph.infer_from(&done.touched);
                        context.record(rule.info()).rewrites += 1;
                        waiting.push_around(graph, &done.touched);
                        applied = true;
                        break;
                    }
                }
            }
            fired |= applied;
            if !applied {
                break;
            }
        }
        Ok(fired)
    }
}

/// Nodes to visit, each at most once in the queue.
struct WorkList {
    queue: VecDeque<NodeId>,
    queued: Vec<bool>,
}

impl WorkList {
    fn new(graph: &Graph) -> Self {
        let queue: VecDeque<NodeId> = graph.topological_order().into();
        let mut queued = vec![false; graph.node_bound()];
        for id in &queue {
            queued[id.index()] = true;
        }
        Self { queue, queued }
    }

    fn pop(&mut self) -> Option<NodeId> {
        let id = self.queue.pop_front()?;
        self.queued[id.index()] = false;
        Some(id)
    }

    fn push(&mut self, id: NodeId) {
        if self.queued.len() <= id.index() {
            self.queued.resize(id.index() + 1, false);
        }
        if !std::mem::replace(&mut self.queued[id.index()], true) {
            self.queue.push_back(id);
        }
    }

    /// Adds nodes and the readers below them, as far as a pattern reaches. Readers of a value
    /// with very many are left to the next sweep.
    fn push_around(&mut self, graph: &Graph, nodes: &[NodeId]) {
        const HUB: usize = 16;
        let mut level: Vec<NodeId> = nodes.to_vec();
        for _ in 0..PATTERN_DEPTH {
            let mut below = Vec::new();
            for id in level {
                self.push(id);
                let Some(node) = graph.get_node(id) else { continue };
                for &output in node.outputs().iter().flatten() {
                    below.extend(graph.consumers(output).take(HUB));
                }
            }
            level = below;
        }
    }
}
