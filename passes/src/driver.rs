//! Visits nodes, asks rules, applies patches, counts; until nothing changes.
use crate::context::{Context, Record};
use crate::pass::{Pass, PassError, PassInfo, Rule};
use lapidary_ir::{Graph, Model, NodeId, Patch, schema};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Instant;

/// Sweeps over a graph before rules that still rewrite are called a fault.
const MAX_ROUNDS: usize = 20;

/// Rewrites per node of a graph in one sweep, above which rules are undoing each other.
const MANY_REWRITES: usize = 100;

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
    round(passes, model, context, MAX_ROUNDS)
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
    model.graph.infer();
    let mut active = Vec::new();
    for _ in 0..MAX_ROUNDS {
        let before = context.clone();
        context.records.iter_mut().for_each(|record| record.skips.clear());
        round(passes, model, context, 1)?;
        active = context.active_since(&before);
        if active.is_empty() {
            return Ok(());
        }
    }
    Err(PassError::NoFixpoint { rounds: MAX_ROUNDS, rules: active })
}

/// Runs passes in order, neighbouring rules together for at most `sweeps` sweeps.
fn round(
    passes: &[&dyn Pass],
    model: &mut Model,
    context: &mut Context,
    sweeps: usize,
) -> Result<(), PassError> {
    let mut rest = passes;
    while let Some((first, tail)) = rest.split_first() {
        let rules: Vec<&dyn Rule> = rest.iter().map_while(|pass| pass.as_rule()).collect();
        if rules.is_empty() {
            if !context.is_exhausted() {
                let start = Instant::now();
                first.run(model, context)?;
                context.record(first.info()).time += start.elapsed();
            }
            rest = tail;
        } else {
            rest = &rest[rules.len()..];
            sweep(&rules, model, context, sweeps)?;
        }
        if context.validate_each {
            check(first.info().name, model)?;
        }
    }
    Ok(())
}

/// Validates a model after `pass`.
///
/// # Errors
/// When it breaks an invariant.
pub fn check(pass: &'static str, model: &Model) -> Result<(), PassError> {
    let violations = model.validate();
    if violations.is_empty() { Ok(()) } else { Err(PassError::Invalid { pass, violations }) }
}

/// Runs `rules` together on all graphs of a model until none of them fires.
///
/// # Errors
/// When a rule is at fault.
pub fn run_rules(
    rules: &[&dyn Rule],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    sweep(rules, model, context, MAX_ROUNDS)
}

/// Sweeps over all graphs until nothing fires. When that takes more than [`MAX_ROUNDS`] it is a
/// fault; a smaller number of `sweeps` is all that is asked for.
fn sweep(
    rules: &[&dyn Rule],
    model: &mut Model,
    context: &mut Context,
    sweeps: usize,
) -> Result<(), PassError> {
    let mut allowed = Vec::new();
    for &rule in rules {
        match missing_opset(rule.info(), &model.graph) {
            None => allowed.push(rule),
            Some(reason) => context.record(rule.info()).skip(reason),
        }
        context.record(rule.info());
    }
    let mut rules = RuleSet::new(allowed, context.rewrites_left());
    for _ in 0..sweeps {
        rules.forget_skips();
        let fired = model.edit_graphs(|graph| rules.sweep(graph));
        if !matches!(fired, Ok(true)) {
            rules.report(model, context);
            return fired.map(|_| ());
        }
    }
    let names = rules.fired();
    rules.report(model, context);
    if sweeps < MAX_ROUNDS {
        return Ok(());
    }
    Err(PassError::NoFixpoint { rounds: sweeps, rules: names })
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

/// Rules by the operators they look at, with the books of each.
struct RuleSet<'a> {
    rules: Vec<(&'a dyn Rule, Record)>,
    by_root: FxHashMap<&'static str, Vec<usize>>,
    any_root: Vec<usize>,
    /// Rewrites that may still be made, if they are limited.
    left: Option<usize>,
}

impl<'a> RuleSet<'a> {
    fn new(rules: Vec<&'a dyn Rule>, left: Option<usize>) -> Self {
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
        let rules = rules.into_iter().map(|rule| (rule, Record::default())).collect();
        Self { rules, by_root, any_root, left }
    }

    /// The last sweep sees every remaining site: its reasons stay.
    fn forget_skips(&mut self) {
        self.rules.iter_mut().for_each(|(_, record)| record.skips.clear());
    }

    fn fired(&self) -> Vec<&'static str> {
        let fired = self.rules.iter().filter(|(_, record)| record.rewrites > 0);
        fired.map(|(rule, _)| rule.info().name).collect()
    }

    /// Hands the books over, and imports the domains of other operators that rules introduced.
    fn report(self, model: &mut Model, context: &mut Context) {
        for (rule, record) in self.rules {
            if record.rewrites > 0 {
                let emits = rule.info().emits.iter();
                for (domain, _) in emits.filter_map(|name| name.rsplit_once('.')) {
                    model.import_opset(domain, 1);
                }
            }
            context.record(rule.info()).merge(record);
        }
    }

    /// Visits every node once, and again whatever a rewrite touches. Whether anything fired.
    fn sweep(&mut self, graph: &mut Graph) -> Result<bool, PassError> {
        let mut waiting = WorkList::new(graph);
        let mut fired = 0;
        let many = MANY_REWRITES * (graph.node_count() + 1);
        while let Some(id) = waiting.pop() {
            while let Some(rule) = self.visit(graph, id, &mut waiting)? {
                fired += 1;
                if fired > many {
                    return Err(PassError::NoFixpoint { rounds: 1, rules: vec![rule] });
                }
            }
        }
        Ok(fired > 0)
    }

    /// Asks the rules in their order until one rewrites, and says which.
    fn visit(
        &mut self,
        graph: &mut Graph,
        id: NodeId,
        waiting: &mut WorkList,
    ) -> Result<Option<&'static str>, PassError> {
        let Some(node) = graph.get_node(id).filter(|_| self.left != Some(0)) else {
            return Ok(None);
        };
        let rooted =
            if node.is_standard() { self.by_root.get(node.op_type.as_str()) } else { None };
        for &index in rooted.into_iter().flatten().chain(&self.any_root) {
            let (rule, record) = &mut self.rules[index];
            let start = Instant::now();
            let mut patch = Patch::default();
            let answer = rule.rewrite(graph, id, &mut patch);
            if answer.is_ok() {
                let pass = rule.info().name;
                let done = graph.apply(patch);
                let done = done.map_err(|source| PassError::Patch { pass, source })?;
                graph.infer_from(&done.touched);
                record.rewrites += 1;
                record.count(&done);
                self.left = self.left.map(|left| left - 1);
                waiting.push_around(graph, &done.touched);
            }
            record.time += start.elapsed();
            match answer {
                Ok(()) => return Ok(Some(rule.info().name)),
                Err(skip) => record.answer(skip),
            }
        }
        Ok(None)
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
            below.sort_unstable();
            below.dedup();
            level = below;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::run_to_fixpoint;
    use crate::pipeline::OPTIMIZE;
    use crate::testing::{assert_same_outputs, parse};
    use crate::{Accuracy, Context};
    use insta::assert_snapshot;
    use lapidary_ir::text;

    /// The optimized graph, executed before and after.
    fn optimize(source: &str) -> String {
        let original = parse(source);
        let mut model = original.clone();
        let mut context = Context { validate_each: true, ..Context::default() };
        run_to_fixpoint(OPTIMIZE, &mut model, &mut context).expect("the passes run");
        assert_same_outputs(&original, &model, Accuracy::Rounding);
        text::print(&model.graph)
    }

    #[test]
    fn rules_rewrite_inside_subgraphs_and_use_what_they_capture() {
        assert_snapshot!(optimize("
            g (float[1,3] x, bool c) => (float[1,3] y)
            <float[3,3] w, float[3] b = {1, 2, 3}, float[3] unused = {4, 5, 6}>
            {
                y = If (c) <
                    then_branch = t () => (float[1,3] u) {
                        i = Identity(x)
                        m = MatMul(i, w)
                        u = Add(m, b)
                        d = Add(m, unused)
                    },
                    else_branch = e () => (float[1,3] v) { r = Relu(x) v = Relu(r) }
                >
            }
        "), @r"
        g (float[1,3] x, bool c) => (float[1,3] y)
        <float[3,3] w, float[3] b = {1, 2, 3}>
        {
            y = If(c) <
                then_branch = t () => (float[1,3] u)
                {
                    u = Gemm(x, w, b)
                },
                else_branch = e () => (float[1,3] v)
                {
                    v = Relu(x)
                }
            >
        }
        ");
    }

    #[test]
    fn a_shared_constant_is_not_rewritten_inside_one_of_its_readers() {
        assert_snapshot!(optimize("
            g (float[1,20] x, bool c) => (float[1,20] y, float[1,20] z)
            <float[20,20] w, float s = {2}>
            {
                y = If (c) <
                    then_branch = t () => (float[1,20] u) { m = MatMul(x, w) u = Mul(m, s) },
                    else_branch = e () => (float[1,20] v) { v = Relu(x) }
                >
                z = MatMul(x, w)
            }
        "), @r"
        g (float[1,20] x, bool c) => (float[1,20] y, float[1,20] z)
        <float[20,20] w, float s = {2}>
        {
            y = If(c) <
                then_branch = t () => (float[1,20] u)
                {
                    m = MatMul(x, w)
                    u = Mul(m, s)
                },
                else_branch = e () => (float[1,20] v)
                {
                    v = Relu(x)
                }
            >
            z = MatMul(x, w)
        }
        ");
    }

    #[test]
    fn names_made_inside_are_new_outside_too() {
        let after = optimize("
            g (float[1,1,4,4] x, bool c) => (float[1,1,4,4] y)
            <float[1,1,3,3] w, float[1] scale = {2}, float[1] shift = {1}, float[1] mean = {0}, float[1] var = {1}>
            {
                y = If (c) <
                    then_branch = t () => (float[1,1,4,4] u) {
                        m = Conv<pads = [1, 1, 1, 1]>(x, w)
                        u = BatchNormalization(m, scale, shift, mean, var)
                    },
                    else_branch = e () => (float[1,1,4,4] v) {
                        n = Conv<pads = [1, 1, 1, 1]>(x, w)
                        v = BatchNormalization(n, scale, shift, mean, var)
                    }
                >
            }
        ");
        assert_eq!(after.matches("Conv").count(), 2);
        assert!(!after.contains("BatchNormalization"), "{after}");
    }
}
