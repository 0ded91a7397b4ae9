//! Residual blocks: y = x + f(x).
use super::dominators::Dominators;
use crate::macs::node_macs;
use lapidary_ir::{ElemType, Graph, NodeId, Use, ValueId};
use rustc_hash::FxHashSet;

/// A part of a graph whose result is added to what it reads, of the same shape, and that nothing else reads.
#[derive(Debug, Clone)]
pub struct Block {
    /// What the names of its nodes have in common, or the name of the addition.
    pub name: String,
    /// Its nodes in topological order, the addition last.
    pub nodes: Vec<String>,
    /// Multiply-accumulates for one sample.
    pub macs: u64,
    /// Elements of the constants that it alone reads.
    pub parameters: u64,
    /// x.
    pub(super) input: ValueId,
    /// y.
    pub(super) output: ValueId,
    /// The addition.
    pub(super) sum: NodeId,
    /// The axis of channels.
    pub(super) axis: usize,
    /// Whether nothing but the block reads x.
    pub(super) alone: bool,
}

/// An addition of two computed values that closes no block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoBlock {
    /// The addition.
    pub node: String,
    /// Why.
    pub why: String,
}

/// The residual blocks of a graph in topological order, and the additions that close none. Types must have been
/// inferred.
#[must_use]
pub fn residual_blocks(graph: &Graph) -> (Vec<Block>, Vec<NoBlock>) {
    let dominators = Dominators::of(graph);
    let (mut blocks, mut others) = (Vec::new(), Vec::new());
    for id in graph.topological_order() {
        let node = &graph[id];
        let [Some(left), Some(right)] = *node.inputs() else { continue };
        if !node.is("Add") || !dominators.follows(left) || !dominators.follows(right) {
            continue;
        }
        match block(graph, &dominators, id, left, right) {
            Ok(block) => blocks.push(block),
            Err(why) => others.push(NoBlock { node: node.label(graph).to_owned(), why }),
        }
    }
    let names: Vec<String> = blocks.iter().map(|block| block.name.clone()).collect();
    for block in &mut blocks {
        let same = names.iter().filter(|name| **name == block.name).count();
        if block.name.is_empty() || same > 1 {
            block.name = graph[block.sum].label(graph).to_owned();
        }
    }
    (blocks, others)
}

fn block(
    graph: &Graph,
    dominators: &Dominators,
    sum: NodeId,
    left: ValueId,
    right: ValueId,
) -> Result<Block, String> {
    let output = graph[sum].output(0).ok_or("has no result")?;
    if left == right {
        return Err("adds a value to itself".to_owned());
    }
    let inner = match dominators.immediate(output) {
        Some(start) if start == left => right,
        Some(start) if start == right => left,
        Some(start) => {
            let start = graph.value(start).name();
            return Err(format!(
                "both operands are computed from `{start}`: no shortcut is the identity"
            ));
        }
        None => return Err("the operands have no common origin".to_owned()),
    };
    let input = if inner == left { right } else { left };
    let shape = graph.value(output).shape().ok_or("its shape is not known")?;
    if graph.value(input).shape() != Some(shape) {
        return Err("the shortcut is of another shape than the sum".to_owned());
    }
    if graph.value(input).elem_type() != Some(ElemType::FLOAT) {
        return Err("adds other numbers than 32-bit floats".to_owned());
    }
    let inside = inside(graph, dominators, inner, input);
    leaks(graph, &inside, sum)?;
    if !graph.can_replace(output, input) {
        return Err("the sum is a graph output that the shortcut can't become".to_owned());
    }
    let order = graph.topological_order();
    let mut nodes: Vec<NodeId> = order.into_iter().filter(|id| inside.contains(id)).collect();
    let macs: u64 = nodes.iter().filter_map(|&id| node_macs(graph, &graph[id])).sum();
    if macs == 0 {
        return Err("nothing between the shortcut and the sum multiplies weights".to_owned());
    }
    let convolves = nodes.iter().any(|&id| graph[id].is("Conv"));
    let axis = if convolves { 1 } else { shape.len().saturating_sub(1) };
    nodes.push(sum);
    let reads = |used: Use| used.node == sum || inside.contains(&used.node);
    let alone = !graph.value(input).is_output() && graph.value(input).uses().all(reads);
    let constants: FxHashSet<ValueId> =
        nodes.iter().flat_map(|&id| graph[id].inputs().iter().flatten().copied()).collect();
    let own = |value: &&ValueId| graph.value(**value).uses().all(reads);
    let sizes = constants.iter().filter(own).filter_map(|&value| graph.constant(value));
    let floats = sizes.filter(|data| data.elem_type().is_float());
    let parameters = floats.map(|data| data.len() as u64).sum();
    let labels: Vec<String> = nodes.iter().map(|&id| graph[id].label(graph).to_owned()).collect();
    Ok(Block {
        name: common(&labels),
        nodes: labels,
        macs,
        parameters,
        input,
        output,
        sum,
        axis,
        alone,
    })
}

/// The nodes on the way from `start` to `end`, with what they alone need besides.
fn inside(
    graph: &Graph,
    dominators: &Dominators,
    end: ValueId,
    start: ValueId,
) -> FxHashSet<NodeId> {
    let mut inside = FxHashSet::default();
    let mut waiting = vec![end];
    while let Some(value) = waiting.pop() {
        if value == start || !dominators.follows(value) {
            continue;
        }
        let Some(id) = graph.producer(value) else { continue };
        if inside.insert(id) {
            let node = &graph[id];
            waiting.extend(node.inputs().iter().flatten().chain(node.captured()));
        }
    }
    inside
}

/// An error if something outside reads what is computed inside.
fn leaks(graph: &Graph, inside: &FxHashSet<NodeId>, sum: NodeId) -> Result<(), String> {
    let mut values: Vec<ValueId> =
        inside.iter().flat_map(|&id| graph[id].outputs().iter().flatten().copied()).collect();
    values.sort_unstable();
    for value in values {
        let known = graph.value(value);
        let name = known.name();
        if known.is_output() {
            return Err(format!("`{name}` inside is a graph output"));
        }
        let foreign = known.uses().find(|used| used.node != sum && !inside.contains(&used.node));
        if let Some(used) = foreign {
            let reader = graph[used.node].label(graph);
            return Err(format!("`{name}` inside is read by `{reader}` outside"));
        }
    }
    Ok(())
}

/// The longest common start of names, up to a separator.
fn common(names: &[String]) -> String {
    let Some(first) = names.first() else { return String::new() };
    let same =
        |other: &String| first.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let mut length = names.iter().map(same).min().unwrap_or(0);
    let ends = |name: &String, length: usize| {
        name.len() == length || name[length..].starts_with(['/', '.', ':'])
    };
    while length > 0
        && !(first.is_char_boundary(length) && names.iter().all(|name| ends(name, length)))
    {
        length -= 1;
    }
    first[..length].trim_end_matches(['/', '.', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    fn found(source: &str) -> Vec<String> {
        let model = model(source);
        let (blocks, others) = residual_blocks(&model.graph);
        let name = |value: ValueId| model.graph.value(value).name().to_owned();
        let blocks = blocks.iter().map(|block| {
            let Block { input, output, macs, parameters, axis, alone, .. } = block;
            let nodes = block.nodes.len();
            let (input, output) = (name(*input), name(*output));
            format!("{input} to {output}: {nodes} nodes, {macs} MACs, {parameters} parameters, axis {axis}, alone {alone}")
        });
        blocks.chain(others.into_iter().map(|other| other.why)).collect()
    }

    #[test]
    fn a_convolutional_block_is_found() {
        let found = found(
            "g (float[N,3,4,4] x) => (float[N,2,4,4] y)
            <float[2,3,1,1] w0, float[4,2,1,1] w1, float[2,4,3,3] w2, float[2] b, float[4] slope>
            {
                s = Conv(x, w0)
                a = Conv(s, w1)
                r = Relu(a)
                f = Conv<pads = [1, 1, 1, 1]>(r, w2, b)
                t = Add(f, s)
                y = Relu(t)
            }",
        );
        assert_eq!(found, ["s to t: 4 nodes, 1280 MACs, 82 parameters, axis 1, alone true"]);
    }

    #[test]
    fn gates_and_masks_belong_to_the_block() {
        let found = found(
            "g (float[2,3,4] x, int64[2,3,1] mask) => (float[2,3,4] y)
            <float[4,4] w, float[4,4] v, float[4] one = {1, 1, 1, 1}>
            {
                m = Cast<to = 1>(mask)
                n = Mul(x, one)
                h = MatMul(n, w)
                g = Sigmoid(h)
                u = Mul(g, n)
                k = Mul(u, m)
                f = MatMul(k, v)
                t = Add(x, f)
                y = Relu(t)
            }",
        );
        assert_eq!(found, ["x to t: 7 nodes, 192 MACs, 36 parameters, axis 2, alone true"]);
    }

    #[test]
    fn nested_blocks_are_all_found() {
        let found = found(
            "g (float[1,2] z) => (float[1,2] y) <float[2,2] w, float[2,2] v>
            { x = Neg(z) a = MatMul(x, w) b = MatMul(a, v) c = Add(a, b) t = Add(c, x) y = Neg(t) }",
        );
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("a to c: 2 nodes"), "{found:?}");
        assert!(found[1].starts_with("x to t: 4 nodes"), "{found:?}");
    }

    #[test]
    fn every_refusal_has_its_reason() {
        let refused = |body: &str| {
            let source = format!(
                "g (float[1,2] x, float[1,2] z) => (float[1,2] y) <float[2,2] w, float[2,2] v, float[2,1] n, float[1,2] k> {{ {body} }}"
            );
            let found = found(&source);
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        assert_eq!(
            refused("a = Neg(x) b = MatMul(a, w) c = MatMul(a, v) t = Add(b, c) y = Neg(t)"),
            "both operands are computed from `a`: no shortcut is the identity"
        );
        assert_eq!(
            refused("b = MatMul(x, w) t = Add(b, z) y = Neg(t)"),
            "the operands have no common origin"
        );
        assert_eq!(refused("b = MatMul(x, w) t = Add(b, b) y = Neg(t)"), "adds a value to itself");
        assert_eq!(
            refused("b = MatMul(x, w) y = Add(b, x)"),
            "the sum is a graph output that the shortcut can't become"
        );
        assert_eq!(
            refused("a = MatMul(x, n) b = MatMul(a, k) t = Add(a, b) y = Neg(t)"),
            "the shortcut is of another shape than the sum"
        );
        assert_eq!(
            refused("a = Neg(x) b = Neg(a) t = Add(a, b) y = Neg(t)"),
            "nothing between the shortcut and the sum multiplies weights"
        );
        assert_eq!(
            refused("a = Neg(x) b = MatMul(a, w) c = Neg(b) t = Add(a, c) y = Mul(t, b)"),
            "`b` inside is read by `y` outside"
        );
    }

    #[test]
    fn names_end_at_separators() {
        let names =
            |list: &[&str]| common(&list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&["/l/l.1/conv1/Conv", "/l/l.1/relu/Relu", "/l/l.1/Add"]), "/l/l.1");
        assert_eq!(names(&["block1.a", "block10.b"]), "");
        assert_eq!(names(&["node_conv_1", "node_add_2"]), "");
    }
}
