//! Eliminates what computes nothing.
mod broadcast_expand;
mod common_subexpressions;
mod consecutive_casts;
mod consecutive_quantizations;
mod consecutive_reshapes;
mod consecutive_transposes;
mod constant_if;
mod constant_loop;
mod dead_nodes;
mod dropout;
mod duplicate_initializers;
mod einsum;
mod idempotent;
mod identity;
mod involutions;
mod nop_arithmetic;
mod nop_cast;
mod nop_expand;
mod nop_pad;
mod nop_pool;
mod nop_reshape;
mod nop_resize;
mod nop_slice;
mod nop_transpose;
mod permuted;
mod single_input;
mod single_split;
mod transposes;
mod unused_functions;
mod unused_outputs;
mod unused_subgraph_values;
mod zero_bias;
mod zero_initial_state;

pub use broadcast_expand::EliminateBroadcastExpand;
pub use common_subexpressions::EliminateCommonSubexpressions;
pub use consecutive_casts::EliminateConsecutiveCasts;
pub use consecutive_quantizations::EliminateConsecutiveQuantizations;
pub use consecutive_reshapes::EliminateConsecutiveReshapes;
pub use consecutive_transposes::EliminateConsecutiveTransposes;
pub use constant_if::EliminateConstantIf;
pub use constant_loop::EliminateConstantLoop;
pub use dead_nodes::EliminateDeadNodes;
pub use dropout::EliminateDropout;
pub use duplicate_initializers::EliminateDuplicateInitializers;
pub use einsum::EliminateEinsum;
pub use idempotent::EliminateIdempotent;
pub use identity::EliminateIdentity;
pub use involutions::EliminateInvolutions;
pub use nop_arithmetic::EliminateNopArithmetic;
pub use nop_cast::EliminateNopCast;
pub use nop_expand::EliminateNopExpand;
pub use nop_pad::EliminateNopPad;
pub use nop_pool::EliminateNopPool;
pub use nop_reshape::EliminateNopReshape;
pub use nop_resize::EliminateNopResize;
pub use nop_slice::EliminateNopSlice;
pub use nop_transpose::EliminateNopTranspose;
pub use single_input::EliminateSingleInput;
pub use single_split::EliminateSingleSplit;
pub use transposes::EliminateTransposes;
pub use unused_functions::EliminateUnusedFunctions;
pub use unused_outputs::EliminateUnusedOutputs;
pub use unused_subgraph_values::EliminateUnusedSubgraphValues;
pub use zero_bias::EliminateZeroBias;
pub use zero_initial_state::EliminateZeroInitialState;

use crate::{OrSkip, Pass, Skip, require};
use lapidary_ir::{Dim, Graph, NewNode, NodeId, Operand, Patch, Splice, ValueId};

/// The passes of this verb, in documentation order.
pub const PASSES: &[&dyn Pass] = &[
    &EliminateDeadNodes {},
    &EliminateUnusedOutputs {},
    &EliminateUnusedSubgraphValues {},
    &EliminateConstantIf {},
    &EliminateConstantLoop {},
    &EliminateUnusedFunctions {},
    &EliminateIdentity {},
    &EliminateDropout {},
    &EliminateNopCast {},
    &EliminateNopReshape {},
    &EliminateNopTranspose {},
    &EliminateNopPad {},
    &EliminateNopSlice {},
    &EliminateNopExpand {},
    &EliminateBroadcastExpand {},
    &EliminateNopResize {},
    &EliminateNopPool {},
    &EliminateNopArithmetic {},
    &EliminateSingleInput {},
    &EliminateSingleSplit {},
    &EliminateEinsum {},
    &EliminateIdempotent {},
    &EliminateInvolutions {},
    &EliminateConsecutiveTransposes {},
    &EliminateTransposes {},
    &EliminateConsecutiveReshapes {},
    &EliminateConsecutiveCasts {},
    &EliminateConsecutiveQuantizations {},
    &EliminateZeroBias {},
    &EliminateZeroInitialState {},
    &EliminateDuplicateInitializers {},
    &EliminateCommonSubexpressions {},
];

/// Makes the readers of the first output of `root` read its first input.
fn pass_through(graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
    let (x, y) = (graph[root].input(0).or_no_match()?, graph[root].output(0).or_no_match()?);
    require(graph.can_replace(y, x), "the graph output has to keep its name")?;
    patch.replace(y, x);
    Ok(())
}

/// The nodes of a subgraph of `root`, to be copied around it.
fn splice<'a>(
    graph: &Graph,
    root: NodeId,
    body: &'a Graph,
    patch: &mut Patch,
) -> Result<Splice<'a>, Skip> {
    Splice::new(graph, root, body, patch).or_skip("the subgraph has sparse initializers")
}

/// Makes the readers of values made by nodes read the operands beside them. A graph output keeps
/// its name: what can't take it over goes through an `Identity`. No match when none of them is read:
/// the node is dead then.
fn stand_in(
    graph: &Graph,
    patch: &mut Patch,
    values: impl IntoIterator<Item = (ValueId, Operand)>,
) -> Result<(), Skip> {
    let mut renamed = Vec::new();
    let read = values.into_iter().filter(|&(value, _)| !graph.value(value).is_unused());
    for (value, operand) in read {
        let may_be_renamed = match operand {
            Operand::Output(..) => !renamed.contains(&operand),
            Operand::Value(id) => !renamed.contains(&operand) && graph.can_replace(value, id),
            Operand::Initializer(_) => !graph.value(value).is_output(),
        };
        if may_be_renamed {
            renamed.push(operand);
            patch.replace(value, operand);
        } else {
            let copy = patch.node(NewNode::new("Identity").input(operand));
            patch.replace(value, copy);
        }
    }
    (!patch.is_empty()).then_some(()).or_no_match()
}

/// The numbers that newer operator sets give as constant input `slot` and older ones as an
/// attribute.
pub(crate) fn integers(
    graph: &Graph,
    node: NodeId,
    slot: usize,
    attribute: &str,
) -> Option<Vec<i64>> {
    match graph[node].input(slot) {
        Some(input) => graph.constant(input)?.to_i64(),
        None => graph[node].ints(attribute).map(<[i64]>::to_vec),
    }
}

/// What is known of the elements of input `slot`, unless a caller can override them.
pub(crate) fn elements(graph: &Graph, node: NodeId, slot: usize) -> Option<&[Dim]> {
    let value = graph.value(graph[node].input(slot)?);
    if value.is_input() { None } else { value.elements() }
}
