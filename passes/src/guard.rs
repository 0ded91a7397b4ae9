//! Runs passes so that none of them can do harm: one at fault, or one that makes the file larger,
//! is left out and named.
use crate::context::{GrowthBudget, Reverted};
use crate::eliminate::EliminateUnusedFunctions;
use crate::{Context, Pass, PassError, driver};
use lapidary_ir::Model;

/// Of the models that bodies of functions are meanwhile.
const IR_VERSION: i64 = 10;

/// Runs `passes` to a fixpoint on `model`, and validates the result.
///
/// Cut short by a limit of rewrites, a model may be larger on its way to a smaller one.
///
/// When the result is invalid, or larger than the model was by more than the context allows, or a
/// pass fails, everything is done again without the pass at fault, which the context then names.
///
/// # Errors
/// When no pass can be told to be at fault; the model is then as it was.
pub fn run_guarded(
    passes: &[&dyn Pass],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    let limit = model.encoded_len() as u64 + context.file_growth;
    let mut trusted = passes.to_vec();
    loop {
        let (mut attempt, mut books) = (model.clone(), context.clone());
        let done = driver::run_to_fixpoint(&trusted, &mut attempt, &mut books)
            .and_then(|()| driver::check("the pipeline", &attempt));
        let reverted = match done {
            Err(error) => {
                let Some(pass) = at_fault(&error, &trusted) else {
                    if std::mem::replace(&mut context.validate_each, true) {
                        return Err(error);
                    }
                    continue;
                };
                Reverted { pass, reason: error.to_string() }
            }
            Ok(()) => {
                let bytes = attempt.encoded_len() as u64;
                let Some(pass) =
                    grower(&books, &trusted).filter(|_| bytes > limit && books.limit.is_none())
                else {
                    *model = attempt;
                    *context = books;
                    return functions(&trusted, model, context);
                };
                let more = bytes - (limit - context.file_growth);
                Reverted { pass, reason: format!("the file would be {more} bytes larger") }
            }
        };
        // Folding first has to do with what it makes unnecessary, before it is left out.
        if reverted.pass == "fold-constants" && context.growth != GrowthBudget::NONE {
            context.growth = GrowthBudget::NONE;
            continue;
        }
        trusted.retain(|pass| pass.info().name != reverted.pass);
        context.reverted.push(reverted);
    }
}

/// Runs passes on the bodies of functions, each as a model of its own. Inputs have no types there,
/// for calls may differ; a body that depends on attributes of its calls is left alone.
fn functions(
    passes: &[&dyn Pass],
    model: &mut Model,
    context: &mut Context,
) -> Result<(), PassError> {
    for index in 0..model.functions().count() {
        let mut fault = None;
        let edited = model.edit_function(index, |graph| {
            let mut body = Model::new(graph.clone(), IR_VERSION);
            let before = context.rewrites();
            fault = driver::run_to_fixpoint(passes, &mut body, context).err();
            *graph = body.graph;
            (fault.is_none() && context.rewrites() > before).then_some(())
        });
        // The body is as it was then.
        if let Some(fault) = fault {
            let Some(pass) = at_fault(&fault, passes) else { return Err(fault) };
            context.reverted.push(Reverted { pass, reason: fault.to_string() });
        }
        if let Err(refused) = edited {
            context.record(&EliminateUnusedFunctions::INFO).skip(refused.to_string());
        }
    }
    Ok(())
}

/// The pass an error names, if it is one of `passes`.
fn at_fault(error: &PassError, passes: &[&dyn Pass]) -> Option<&'static str> {
    let named = match error {
        PassError::Patch { pass, .. } | PassError::Invalid { pass, .. } => *pass,
        PassError::NoFixpoint { rules, .. } => rules.last()?,
    };
    passes.iter().map(|pass| pass.info().name).find(|&name| name == named)
}

/// The pass that added most bytes of initializers; the last that did anything when none did.
fn grower(books: &Context, passes: &[&dyn Pass]) -> Option<&'static str> {
    let ran = |name: &str| passes.iter().any(|pass| pass.info().name == name);
    let active = books.records.iter().filter(|record| record.rewrites > 0 && ran(record.pass));
    active.max_by_key(|record| record.bytes.max(0)).map(|record| record.pass)
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "the macro makes passes public")]
mod tests {
    use super::run_guarded;
    use crate::eliminate::EliminateIdentity;
    use crate::fold::FoldConstants;
    use crate::testing::parse;
    use crate::{Context, Pass, PassError, PassInfo, Rule, Skip};
    use lapidary_ir::{Graph, Model, NewNode, NodeId, Patch, Tensor, text};

    crate::pass! {
        /// Replaces a value that has no producer: a fault.
        pub struct FuseWrongly
        name: "fuse-wrongly",
        accuracy: Exact,
        emits: [],
    }

    impl Rule for FuseWrongly {
        fn info(&self) -> &'static PassInfo {
            &Self::INFO
        }

        fn roots(&self) -> &'static [&'static str] {
            &["Relu"]
        }

        fn rewrite(&self, graph: &Graph, _: NodeId, patch: &mut Patch) -> Result<(), Skip> {
            let made = patch.node(NewNode::new("Abs").input(graph.inputs()[0]));
            patch.replace(graph.inputs()[0], made);
            Ok(())
        }
    }

    crate::pass! {
        /// Adds a large constant.
        pub struct FuseWastefully
        name: "fuse-wastefully",
        accuracy: Exact,
        emits: [],
    }

    impl Rule for FuseWastefully {
        fn info(&self) -> &'static PassInfo {
            &Self::INFO
        }

        fn roots(&self) -> &'static [&'static str] {
            &["Relu"]
        }

        fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
            let zeros = patch.initializer("zeros", Tensor::vector(&[0.0_f32; 1000]));
            let x = graph[root].input(0).expect("Relu has an input");
            let made = patch.node(NewNode::new("Max").input(x).input(zeros));
            patch.replace(graph[root].output(0).expect("Relu has an output"), made);
            Ok(())
        }
    }

    fn run(passes: &[&dyn Pass], source: &str) -> (Model, Context) {
        let mut model = parse(source);
        let mut context = Context { validate_each: false, ..Context::default() };
        run_guarded(passes, &mut model, &mut context).expect("the other passes run");
        (model, context)
    }

    const CHAIN: &str = "g (float[1000] x) => (float[1000] y) { a = Identity(x) y = Relu(a) }";

    #[test]
    fn a_pass_at_fault_is_left_out_and_named() {
        let (model, context) = run(&[&FuseWrongly {}, &EliminateIdentity {}], CHAIN);
        assert_eq!(model.graph.node_count(), 1);
        let [reverted] = &context.reverted[..] else { panic!("{:?}", context.reverted) };
        assert_eq!(reverted.pass, "fuse-wrongly");
        assert_eq!(reverted.reason, "pass `fuse-wrongly` wrote a patch that can't be applied");
    }

    #[test]
    fn a_pass_that_makes_the_file_larger_is_left_out_and_named() {
        let (model, context) = run(&[&EliminateIdentity {}, &FuseWastefully {}], CHAIN);
        assert!(text::print(&model.graph).contains("y = Relu(x)"));
        let [reverted] = &context.reverted[..] else { panic!("{:?}", context.reverted) };
        assert_eq!(reverted.pass, "fuse-wastefully");
        assert!(reverted.reason.starts_with("the file would be 4"), "{}", reverted.reason);
    }

    #[test]
    fn folding_keeps_what_does_not_grow_the_file() {
        let (model, context) = run(
            &[&FoldConstants {}],
            "
            g (float[64,64] x) => (float[64,64] y)
            <float[64] a, float[64] b, int64[2] shape = {64, 64}>
            {
                c = Mul(a, b)
                d = Expand(c, shape)
                y = Add(x, d)
            }
        ",
        );
        assert_eq!(context.reverted, []);
        let after = text::print(&model.graph);
        assert!(after.contains("Expand") && !after.contains("Mul"), "{after}");
    }

    #[test]
    fn growth_is_allowed_on_request() {
        let mut model = parse(CHAIN);
        let mut context = Context { file_growth: 1 << 20, ..Context::default() };
        let done: Result<(), PassError> =
            run_guarded(&[&FuseWastefully {}], &mut model, &mut context);
        done.expect("the pass runs");
        assert_eq!((context.reverted.len(), context.rewrites()), (0, 1));
    }
}
