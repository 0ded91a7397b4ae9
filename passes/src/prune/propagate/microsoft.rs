//! Operators of ONNX Runtime's `com.microsoft` domain, as its documentation of contributed operators
//! (docs/ContribOperators.md) defines them.
use super::attention::{Blocks, cached, number, rotate, scores};
use super::elementwise::{along, broadcast, unary};
use super::site::Site;
use super::{linear, normalization};
use crate::prune::elements::Axis;
use crate::prune::relations::Place;
use lapidary_ir::ValueId;

const UNKNOWN: &str = "attends in a form that is not followed";

pub(super) fn rule(site: &mut Site<'_>) -> &'static str {
    match site.node().op_type.as_str() {
        "Attention" => attention(site),
        "MultiHeadAttention" => multi_head(site),
        "GroupQueryAttention" => grouped_query(site),
        "RotaryEmbedding" => rotate(site, 2),
        "FusedConv" => fused_conv(site),
        "FusedGemm" => linear::gemm(site),
        "FusedMatMul" => fused_matmul(site),
        "BiasAdd" | "BiasGelu" | "FastGelu" => broadcast(site),
        "Gelu" | "QuickGelu" => unary(site),
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => skip_layer(site),
        "SimplifiedLayerNormalization" => normalization::layer(site),
        "EmbedLayerNormalization" => "computes statistics over the axis",
        _ => "has no rule for channels",
    }
}

/// Z is added before the activation.
fn fused_conv(site: &mut Site<'_>) -> &'static str {
    if let (Some((z, rank)), Some((y, _))) = (site.input(3), site.output(0)) {
        site.tie_all(z, y, rank, &[]);
    }
    linear::conv(site)
}

/// Y = alpha · A' · B', each transposed or not.
fn fused_matmul(site: &mut Site<'_>) -> &'static str {
    let flag = |name| site.node().int(name).unwrap_or(0) != 0;
    if flag("transBatchA") || flag("transBatchB") {
        return "exchanges batch axes, which is not followed";
    }
    let transposed = (flag("transA"), flag("transB"));
    linear::product(site, transposed)
}

/// Statistics along the last axis; the other axes are those of the sum.
fn skip_layer(site: &mut Site<'_>) -> &'static str {
    let Some((x, rank)) = site.input(0) else { return "computes statistics over the axis" };
    for other in [site.input(1), site.output(0), site.output(3)].into_iter().flatten() {
        for axis in 0..other.1.saturating_sub(1) {
            let own = Axis::new(x, rank + axis - other.1.min(rank + axis));
            along(site, Axis::new(other.0, axis), own);
        }
    }
    "computes statistics over the axis"
}

/// Y = softmax(Q · Kᵀ) · V with Q, K, V side by side in X · W + B; W is `[inputs, Q + K + V]`.
fn attention(site: &mut Site<'_>) -> &'static str {
    let (Some((x, 3)), Some((weight, 2)), Some((y, 3)), Some(heads)) =
        (site.input(0), site.input(1), site.output(0), number(site, "num_heads"))
    else {
        return UNKNOWN;
    };
    let columns = Axis::new(weight, 1);
    let Some(total) = site.extent(columns) else { return UNKNOWN };
    let listed = site.node().ints("qkv_hidden_sizes").map(<[_]>::to_vec);
    let sizes: Vec<usize> = match &listed {
        Some(sizes) => sizes.iter().filter_map(|&size| usize::try_from(size).ok()).collect(),
        None => vec![total / 3; 3],
    };
    if sizes.len() != 3 || sizes.iter().sum::<usize>() != total {
        return UNKNOWN;
    }
    let Some([queries, keys, values]) = side_by_side(columns, &sizes, heads) else {
        return UNKNOWN;
    };
    let Some(outputs) = Blocks::whole(site, Axis::new(y, 2), heads) else { return UNKNOWN };
    site.makes(columns);
    if !queries.tie(&keys, site) || !queries.tie(&values, site) || !values.tie(&outputs, site) {
        return UNKNOWN;
    }
    site.consume(Axis::new(x, 2), Axis::new(weight, 0));
    if let Some((bias, 1)) = site.input(2) {
        site.tie(columns, Axis::new(bias, 0));
    }
    queries.count(Place::Int("num_heads"), site);
    if listed.is_some() {
        for (entry, part) in [queries, keys, values].into_iter().enumerate() {
            site.count(Place::Ints("qkv_hidden_sizes", entry), columns, part.range(), 1);
        }
    }
    along(site, Axis::new(x, 0), Axis::new(y, 0));
    along(site, Axis::new(x, 1), Axis::new(y, 1));
    scores(site, site.input(5), &queries);
    for cache in [site.input(4), site.output(1)] {
        // Keys and values in one: [2, batch, heads, length, size].
        let axis = cache.filter(|&(_, rank)| rank == 5).map(|(value, _)| Axis::new(value, 2));
        if let Some(axis) = axis.filter(|&axis| site.extent(axis) == Some(heads)) {
            queries.tie(&Blocks::part(axis, 0, heads, 1), site);
        }
    }
    UNKNOWN
}

/// Q, K and V on one axis, one after the other.
fn side_by_side(axis: Axis, sizes: &[usize], heads: usize) -> Option<[Blocks; 3]> {
    let mut start = 0;
    let mut blocks = Vec::with_capacity(3);
    for &size in sizes {
        if size == 0 || !size.is_multiple_of(heads) {
            return None;
        }
        blocks.push(Blocks::part(axis, start, heads, size / heads));
        start += size;
    }
    blocks.try_into().ok()
}

/// The heads of an operand: `[batch, length, heads · size]`, `[batch, heads, length, size]` or packed,
/// `[batch, length, heads, 2 or 3, size]`.
fn operand(site: &Site<'_>, value: (ValueId, usize), heads: usize) -> Option<Blocks> {
    let axis = match value.1 {
        3 | 5 => 2,
        4 => 1,
        _ => return None,
    };
    let blocks = Blocks::whole(site, Axis::new(value.0, axis), heads)?;
    (value.1 == 3 || blocks.size == 1).then_some(blocks)
}

/// Y = softmax(Q · Kᵀ · scale + bias) · V by heads; the bias of the projections of Q, K and V is input 3.
fn multi_head(site: &mut Site<'_>) -> &'static str {
    let (Some(query), Some(output), Some(heads)) =
        (site.input(0), site.output(0), number(site, "num_heads"))
    else {
        return UNKNOWN;
    };
    let Some(queries) = operand(site, query, heads) else { return UNKNOWN };
    let Some(outputs) = operand(site, output, heads) else { return UNKNOWN };
    let mut parts = vec![queries];
    for other in [site.input(1), site.input(2)].into_iter().flatten() {
        let Some(blocks) = operand(site, other, heads) else { return UNKNOWN };
        parts.push(blocks);
        if other.1 == 3 && query.1 == 3 {
            along(site, Axis::new(other.0, 0), Axis::new(query.0, 0));
        }
    }
    parts.iter().for_each(|part| {
        queries.tie(part, site);
    });
    queries.tie(&outputs, site);
    queries.count(Place::Int("num_heads"), site);
    along(site, Axis::new(query.0, 0), Axis::new(output.0, 0));
    along(site, Axis::new(query.0, 1), Axis::new(output.0, 1));
    if let (Some((bias, 1)), [_, _, values]) = (site.input(3), parts.as_slice()) {
        bias_of_three(site, Axis::new(bias, 0), &queries, values);
    }
    scores(site, site.input(5), &queries);
    scores(site, site.output(3), &queries);
    for cache in [site.input(6), site.input(7), site.output(1), site.output(2)] {
        cached(site, cache, &queries);
    }
    UNKNOWN
}

/// The bias of Q, then that of K, then that of V.
fn bias_of_three(site: &mut Site<'_>, bias: Axis, queries: &Blocks, values: &Blocks) {
    let (hidden, last) = (queries.count * queries.size, values.count * values.size);
    if site.extent(bias) != Some(2 * hidden + last) {
        return;
    }
    for (start, own) in [(0, queries), (hidden, queries), (2 * hidden, values)] {
        let part = Blocks::part(bias, start, own.count, own.size);
        queries.tie(&part, site);
    }
}

/// As `MultiHeadAttention`, with fewer heads of keys and values, each for several heads of queries; without keys
/// and values, input 0 holds all three side by side.
fn grouped_query(site: &mut Site<'_>) -> &'static str {
    let counts = (number(site, "num_heads"), number(site, "kv_num_heads"));
    let (Some((query, 3)), Some((y, 3)), (Some(heads), Some(shared))) =
        (site.input(0), site.output(0), counts)
    else {
        return UNKNOWN;
    };
    let axis = Axis::new(query, 2);
    let parts = match (site.input(1), site.input(2)) {
        (Some((key, 3)), Some((value, 3))) => {
            let of = |value, count| Blocks::whole(site, Axis::new(value, 2), count);
            [Blocks::whole(site, axis, heads), of(key, shared), of(value, shared)]
        }
        (None, None) => {
            let total = site.extent(axis).filter(|total| total % (heads + 2 * shared) == 0);
            let Some(size) = total.map(|total| total / (heads + 2 * shared)) else {
                return UNKNOWN;
            };
            let part = |start, count| Some(Blocks::part(axis, start * size, count, size));
            [part(0, heads), part(heads, shared), part(heads + shared, shared)]
        }
        _ => return UNKNOWN,
    };
    let ([Some(queries), Some(keys), Some(values)], Some(outputs)) =
        (parts, Blocks::whole(site, Axis::new(y, 2), heads))
    else {
        return UNKNOWN;
    };
    if !keys.tie(&queries, site) || !keys.tie(&values, site) || !queries.tie(&outputs, site) {
        return UNKNOWN;
    }
    queries.count(Place::Int("num_heads"), site);
    keys.count(Place::Int("kv_num_heads"), site);
    for slot in 0..3 {
        let Some((operand, 3)) = site.input(slot) else { continue };
        along(site, Axis::new(operand, 0), Axis::new(y, 0));
        along(site, Axis::new(operand, 1), Axis::new(y, 1));
    }
    scores(site, site.input(10), &queries);
    for cache in [site.input(3), site.input(4), site.output(1), site.output(2)] {
        cached(site, cache, &keys);
    }
    if let Some((sinks, 1)) = site.input(11)
        && site.extent(Axis::new(sinks, 0)) == Some(heads)
    {
        queries.tie(&Blocks::part(Axis::new(sinks, 0), 0, heads, 1), site);
    }
    UNKNOWN
}
