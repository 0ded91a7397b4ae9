//! Finds the rewrite that makes a model compute something else.
use crate::{Error, Proof, ProofOptions};
use lapidary_ir::{Boundary, ElemType, Graph, Model, NodeId, ValueId};
use lapidary_passes::{Context, Pass, driver};
use std::collections::BTreeSet;
use std::fmt;

/// Nodes before the value at fault that a smaller model keeps, the fewest first.
const HOPS: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// The first rewrite after which a model computes something else.
#[derive(Debug, Clone)]
pub struct Guilty {
    /// The pass.
    pub pass: String,
    /// The number of the rewrite, from 1, among all rewrites.
    pub rewrite: usize,
    /// The first value that differs.
    pub value: Option<String>,
    /// A model the pass spoils: as small as was found, or the one the rewrite was applied to.
    pub model: Model,
    /// Whether that model was seen to be spoiled by this pass alone.
    pub alone: bool,
}

impl fmt::Display for Guilty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rewrite {} is at fault, by {}", self.rewrite, self.pass)?;
        self.value.iter().try_for_each(|value| write!(f, ", at `{value}`"))
    }
}

/// Finds the first rewrite after which `fails` says so, by running `rewrite` with fewer and fewer
/// rewrites allowed. Nothing, when the model fails unchanged or does not fail.
///
/// `settings` is what `rewrite` ran with; `find` gives a pass by its name.
///
/// # Errors
/// Those of `rewrite`.
pub fn bisect(
    original: &Model,
    settings: &Context,
    rewrite: &dyn Fn(&mut Model, &mut Context) -> Result<(), Error>,
    fails: &dyn Fn(&Model) -> bool,
    find: &dyn Fn(&str) -> Option<&'static dyn Pass>,
) -> Result<Option<Guilty>, Error> {
    let run = |limit: Option<usize>| {
        let (mut model, mut context) = (original.clone(), settings.clone());
        context.limit = limit;
        rewrite(&mut model, &mut context)?;
        Ok::<_, Error>((model, context))
    };
    let (model, context) = run(None)?;
    if !fails(&model) || fails(&run(Some(0))?.0) {
        return Ok(None);
    }
    // Right after `good` rewrites, wrong after `bad`.
    let (mut good, mut bad) = (0, context.rewrites());
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        match fails(&run(Some(middle))?.0) {
            true => bad = middle,
            false => good = middle,
        }
    }
    let (before, counted) = run(Some(good))?;
    let (after, context) = run(Some(bad))?;
    let rewrites = |context: &Context, pass: &str| {
        let record = context.records.iter().find(|record| record.pass == pass);
        record.map_or(0, |record| record.rewrites)
    };
    let mut passes = context.records.iter().map(|record| record.pass);
    let pass = passes.find(|pass| rewrites(&context, pass) > rewrites(&counted, pass));
    let Some(pass) = pass else { return Ok(None) };
    let proof = Proof::new(&before, &after, &ProofOptions::default());
    let value = proof.suspects.first().map(|difference| difference.value.clone());
    let smaller = find(pass).and_then(|found| smallest(&before, value.as_deref()?, found));
    let alone = smaller.is_some();
    let model = smaller.unwrap_or(before);
    Ok(Some(Guilty { pass: pass.to_owned(), rewrite: bad, value, model, alone }))
}

/// The smallest model around `value` that `pass` spoils.
fn smallest(before: &Model, value: &str, pass: &dyn Pass) -> Option<Model> {
    let value = before.graph.find(value)?;
    let parts = HOPS.iter().map(|&hops| around(before, value, hops));
    parts.chain([before.clone()]).find(|part| spoils(pass, part))
}

/// The part of a model that computes `value` from values `hops` nodes before it.
fn around(model: &Model, value: ValueId, hops: usize) -> Model {
    let graph = &model.graph;
    let inside = nodes_before(graph, value, hops);
    let boundary = |id: ValueId| {
        let producer = graph.producer(id)?;
        let ty = graph.ty(id);
        let float = ty.elem_type.is_some_and(ElemType::is_float) && ty.shape.is_some();
        (!inside.contains(&producer) && float).then(|| Boundary::Input(ty.clone()))
    };
    model.extract_between(&[value], &boundary)
}

fn nodes_before(graph: &Graph, value: ValueId, hops: usize) -> BTreeSet<NodeId> {
    let mut inside = BTreeSet::new();
    let mut level: Vec<ValueId> = vec![value];
    for _ in 0..hops {
        let nodes: Vec<NodeId> = level.iter().filter_map(|&id| graph.producer(id)).collect();
        let new: Vec<NodeId> = nodes.into_iter().filter(|&node| inside.insert(node)).collect();
        let reads = |&node: &NodeId| {
            let node = &graph[node];
            node.inputs().iter().flatten().chain(node.captured()).copied().collect::<Vec<_>>()
        };
        level = new.iter().flat_map(reads).collect();
    }
    inside
}

/// Whether a model computes something else after `pass`.
fn spoils(pass: &dyn Pass, model: &Model) -> bool {
    let mut changed = model.clone();
    let ran = driver::run(&[pass], &mut changed, &mut Context::default());
    let proof = Proof::new(model, &changed, &ProofOptions::default());
    ran.is_ok() && model.validate().is_empty() && !proof.differing.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapidary_ir::{NewNode, Patch, text};
    use lapidary_passes::{Accuracy, PassInfo, Rule, Skip, require};

    /// Replaces `Abs` by `Neg`, which is wrong.
    #[derive(Debug)]
    struct AbsToNeg;

    static WRONG: PassInfo = PassInfo {
        name: "abs-to-neg",
        doc: &[],
        accuracy: Accuracy::Exact,
        emits: &["Neg"],
        file: file!(),
    };

    impl Rule for AbsToNeg {
        fn info(&self) -> &'static PassInfo {
            &WRONG
        }

        fn roots(&self) -> &'static [&'static str] {
            &["Abs"]
        }

        fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
            let node = &graph[root];
            let (Some(x), Some(y)) = (node.input(0), node.output(0)) else {
                return Err(Skip::NoMatch);
            };
            require(node.name.is_empty(), "the node has a name")?;
            let new = patch.node(NewNode::new("Neg").input(x));
            patch.replace(y, new);
            Ok(())
        }
    }

    #[test]
    fn the_wrong_rewrite_is_found_among_right_ones() {
        let right: String = (0..9).map(|n| format!("v{} = Identity(v{n})\n", n + 1)).collect();
        let source = format!(
            "g (float[4,4] v0) => (float[4,4] y) {{
                 {right}
                 a = Sigmoid(v9)
                 b = Sub(a, v0)
                 c = Abs(b)
                 d = MatMul(c, c)
                 y = Softmax(d)
             }}"
        );
        let mut original = text::parse(&source).unwrap_or_else(|error| panic!("{error}"));
        original.graph.infer();
        let find = |name: &str| -> Option<&'static dyn Pass> {
            if name == WRONG.name { Some(&AbsToNeg) } else { lapidary_passes::find(name) }
        };
        let right = find("eliminate-identity").expect("there is such a pass");
        let rewrite = |model: &mut Model, context: &mut Context| {
            Ok(driver::run(&[right, &AbsToNeg], model, context)?)
        };
        let fails =
            |model: &Model| !Proof::new(&original, model, &ProofOptions::default()).is_complete();
        let guilty = bisect(&original, &Context::default(), &rewrite, &fails, &find);
        let guilty = guilty.expect("the passes run").expect("one is at fault");
        assert_eq!(guilty.to_string(), "rewrite 10 is at fault, by abs-to-neg, at `c`");
        assert!(guilty.alone);
        insta::assert_snapshot!(text::print(&guilty.model.graph), @"
        g (float[4,4] b) => (float[4,4] c)
        {
            c = Abs(b)
        }
        ");
    }
}
