//! Convolutions and matrix products: the operators that make channels.
use super::site::Site;
use crate::prune::elements::Axis;
use crate::prune::relations::{Map, Place};
use lapidary_ir::ValueId;

const WINDOW: &str = "slides a window over the axis";

/// The weight of a convolution with its channels.
struct Kernel {
    input: Axis,
    output: Axis,
    weight: ValueId,
    groups: usize,
    inputs: usize,
    outputs: usize,
}

/// Input, output and weight of a convolution, batch and bias tied; `rows` is the axis of the
/// weight along which the bias runs when there is one group.
fn kernel(site: &mut Site<'_>) -> Option<Kernel> {
    let ((x, _), (y, _)) = (site.input(0)?, site.output(0)?);
    let (weight, _) = site.input(1)?;
    let groups = usize::try_from(site.node().int("group").unwrap_or(1)).ok()?;
    let (input, output) = (Axis::new(x, 1), Axis::new(y, 1));
    let (inputs, outputs) = (site.extent(input)?, site.extent(output)?);
    if groups == 0 || inputs % groups != 0 || outputs % groups != 0 {
        return None;
    }
    site.tie(Axis::new(x, 0), Axis::new(y, 0));
    if let Some((bias, 1)) = site.input(2) {
        site.ride(Axis::new(bias, 0), output);
    }
    Some(Kernel { input, output, weight, groups, inputs, outputs })
}

/// W\[O, I/g, …\]:
///
/// * g = 1: out o is row o, in i is column i.
/// * I/g = 1, g = I (depthwise, multiplier m = O/I): out o is row o and in o / m.
/// * else: out o is row o; columns are local to a group, so each group may lose other inputs, but
///   all groups as many. The same goes for outputs.
pub(super) fn conv(site: &mut Site<'_>) -> &'static str {
    let Some(kernel) = kernel(site) else { return "has a channel count that is not known" };
    let Kernel { input, output, weight, groups, inputs, outputs } = kernel;
    site.produce_unless_depthwise(Axis::new(weight, 0), output, groups == inputs && groups > 1);
    let columns = Axis::new(weight, 1);
    if groups == 1 {
        site.consume(input, columns);
        return WINDOW;
    }
    if groups == inputs {
        depthwise(site, (input, inputs), (output, outputs));
        return WINDOW;
    }
    site.balance(input, groups);
    site.balance(output, groups);
    let own = site.constant(weight).is_some() && site.graph.value(weight).uses().len() == 1;
    if own {
        site.grouped_columns(input, output, groups);
    } else {
        local(site, input, columns, inputs, inputs / groups);
    }
    WINDOW
}

/// W\[I, O/g, …\]: as a convolution with rows and columns exchanged; the columns of several groups
/// are the same ones, so all groups lose the same positions.
pub(super) fn conv_transpose(site: &mut Site<'_>) -> &'static str {
    let Some(kernel) = kernel(site) else { return "has a channel count that is not known" };
    let Kernel { input, output, weight, groups, inputs, outputs } = kernel;
    let (rows, columns) = (Axis::new(weight, 0), Axis::new(weight, 1));
    if groups == 1 {
        site.consume(input, rows);
        site.produce(columns, output);
        return WINDOW;
    }
    if groups == inputs {
        site.tie(input, rows);
        depthwise(site, (input, inputs), (output, outputs));
        return WINDOW;
    }
    site.consume(input, rows);
    site.balance(input, groups);
    site.produce_local(columns, output, outputs, outputs / groups);
    WINDOW
}

/// Out o is in o / m with m = O / I, and every in is a group of its own.
fn depthwise(
    site: &mut Site<'_>,
    (input, inputs): (Axis, usize),
    (output, outputs): (Axis, usize),
) {
    let multiplier = outputs / inputs;
    let map = Map::Digits { total: outputs, left: (multiplier, inputs), right: (1, outputs) };
    site.tie_by(input, output, map);
    site.count(Place::Int("group"), input, (0, inputs), 1);
}

/// Element f of `whole` is element f mod `local` of the axis all groups share.
fn local(site: &mut Site<'_>, whole: Axis, shared: Axis, total: usize, local: usize) {
    site.tie_by(whole, shared, Map::Digits { total, left: (1, total), right: (1, local) });
}

/// Y = A' · B' + C with A' of (M, K) and B' of (K, N): K is read, N is made.
pub(super) fn gemm(site: &mut Site<'_>) -> &'static str {
    let why = "multiplies matrices of a shape that is not known";
    let (Some((a, 2)), Some((b, 2)), Some((y, 2))) = (site.input(0), site.input(1), site.output(0))
    else {
        return why;
    };
    let transposed = |name| usize::from(site.node().int(name).unwrap_or(0) != 0);
    let (ta, tb) = (transposed("transA"), transposed("transB"));
    site.tie(Axis::new(a, ta), Axis::new(y, 0));
    site.consume(Axis::new(a, 1 - ta), Axis::new(b, tb));
    site.produce(Axis::new(b, 1 - tb), Axis::new(y, 1));
    if let Some((c, rank)) = site.input(2).filter(|&(_, rank)| rank <= 2) {
        for axis in 0..rank {
            super::elementwise::along(site, Axis::new(c, axis), Axis::new(y, 2 + axis - rank));
        }
    }
    why
}

/// Y\[…, M, N\] = A\[…, M, K\] · B\[…, K, N\]: K is read on both sides, a constant side makes its
/// other axis, batch axes broadcast.
pub(super) fn matmul(site: &mut Site<'_>) -> &'static str {
    product(site, (false, false))
}

/// The same, with the last two axes of A or B exchanged where `transposed` says so.
pub(super) fn product(site: &mut Site<'_>, transposed: (bool, bool)) -> &'static str {
    let why = "multiplies vectors or matrices of a shape that is not known";
    let (Some((a, ra)), Some((b, rb)), Some((y, ry))) =
        (site.input(0), site.input(1), site.output(0))
    else {
        return why;
    };
    if ra < 2 || rb < 2 || ry != ra.max(rb) {
        return why;
    }
    for (value, rank) in [(a, ra), (b, rb)] {
        for axis in 0..rank - 2 {
            super::elementwise::along(site, Axis::new(value, axis), Axis::new(y, ry + axis - rank));
        }
    }
    let last_two = |value, rank, exchanged| match exchanged {
        false => (Axis::new(value, rank - 2), Axis::new(value, rank - 1)),
        true => (Axis::new(value, rank - 1), Axis::new(value, rank - 2)),
    };
    let (rows, left) = last_two(a, ra, transposed.0);
    let (right, columns) = last_two(b, rb, transposed.1);
    if site.is_weight(a) {
        site.produce(rows, Axis::new(y, ry - 2));
        site.consume(right, left);
    } else {
        site.tie(rows, Axis::new(y, ry - 2));
    }
    if site.is_weight(b) {
        site.produce(columns, Axis::new(y, ry - 1));
        site.consume(left, right);
    } else {
        site.tie(columns, Axis::new(y, ry - 1));
        site.tie(left, right);
    }
    why
}
