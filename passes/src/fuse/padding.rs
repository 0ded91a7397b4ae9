//! Zeros around the spatial axes, written as a `Pad` or as the attribute `pads`.
use crate::{OrSkip, Skip, require};
use lapidary_ir::{Graph, Node, NodeId, Tensor};

/// What `pad` puts around the spatial axes of a value of rank `rank`, as `pads` counts it: all
/// beginnings, then all ends.
pub(super) fn spatial_zeros(graph: &Graph, pad: NodeId, rank: usize) -> Result<Vec<i64>, Skip> {
    let node = &graph[pad];
    require(
        node.string("mode").unwrap_or("constant") == "constant",
        "Pad is not in constant mode",
    )?;
    require(fills_with_zero(graph, pad), "Pad does not fill with zeros")?;

    let fit = "Pad has other amounts than the rank calls for";
    require(rank > 2, fit)?;
    let mut all = vec![0; 2 * rank];
    let amounts = amounts(graph, pad).or_skip("Pad has no constant amounts")?;
    let axes = match node.input(3) {
        None => (0..rank).collect(),
        Some(_) => axes(graph.constant_input(pad, 3), rank).or_skip("Pad has no constant axes")?,
    };
    require(amounts.len() == 2 * axes.len(), fit)?;
    let (begins, ends) = amounts.split_at(axes.len());
    for (&axis, (begin, end)) in axes.iter().zip(begins.iter().zip(ends)) {
        all[axis] = *begin;
        all[rank + axis] = *end;
    }

    require(all.iter().all(|&amount| amount >= 0), "Pad removes elements")?;
    let (begins, ends) = all.split_at(rank);
    let mut outer = begins[..2].iter().chain(&ends[..2]);
    require(outer.all(|&amount| amount == 0), "Pad widens the batch or the channels")?;
    Ok([&begins[2..], &ends[2..]].concat())
}

/// The attribute `pads` of a node with `spatial` spatial axes.
pub(super) fn pads(node: &Node, spatial: usize) -> Result<Vec<i64>, Skip> {
    let auto = node.string("auto_pad").unwrap_or("NOTSET");
    require(matches!(auto, "NOTSET" | "VALID"), "auto_pad depends on the size of the input")?;
    let pads = match node.ints("pads") {
        Some(pads) if auto == "NOTSET" => pads.to_vec(),
        _ => vec![0; 2 * spatial],
    };
    Some(pads).filter(|pads| pads.len() == 2 * spatial).or_no_match()
}

/// The element-wise sum of two `pads`.
pub(super) fn sum(pads: &[i64], more: &[i64]) -> Vec<i64> {
    pads.iter().zip(more).map(|(a, b)| a.saturating_add(*b)).collect()
}

fn fills_with_zero(graph: &Graph, pad: NodeId) -> bool {
    let node = &graph[pad];
    if graph.opset() < 11 {
        return node.float("value").unwrap_or(0.0) == 0.0;
    }
    let zero = |value: &Tensor| value.as_f32() == Some(0.0) || value.as_i64() == Some(0);
    node.input(2).is_none() || graph.constant_input(pad, 2).is_some_and(|value| zero(value))
}

fn amounts(graph: &Graph, pad: NodeId) -> Option<Vec<i64>> {
    match graph.opset() {
        ..2 => graph[pad].ints("paddings").map(<[i64]>::to_vec),
        2..11 => graph[pad].ints("pads").map(<[i64]>::to_vec),
        _ => graph.constant_input(pad, 1)?.to_i64(),
    }
}

fn axes(tensor: Option<&std::sync::Arc<Tensor>>, rank: usize) -> Option<Vec<usize>> {
    let rank = i64::try_from(rank).ok()?;
    let inside = |axis: i64| {
        let axis = if axis < 0 { axis + rank } else { axis };
        usize::try_from(axis).ok().filter(|_| axis < rank)
    };
    tensor?.to_i64()?.into_iter().map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    /// What the first node, a `Pad`, puts around the spatial axes of a value of rank 4.
    fn zeros(opset: i64, inputs: &str, initializers: &str, pad: &str) -> Result<Vec<i64>, String> {
        let model = parse(&format!(
            r#"
            <ir_version: 8, opset_import: ["" : {opset}]>
            g ({inputs}) => (float[] y)
            <{initializers}>
            {{
                y = {pad}
            }}
            "#
        ));
        let (id, _) = model.graph.nodes().next().expect("there is a node");
        spatial_zeros(&model.graph, id, 4).map_err(|skip| match skip {
            Skip::Because(reason) => reason.into_owned(),
            Skip::NoMatch => "no match".to_owned(),
        })
    }

    fn of(amounts: &str, pad: &str) -> Result<Vec<i64>, String> {
        zeros(18, "float[1,3,8,8] x", amounts, pad)
    }

    #[test]
    fn reads_amounts_of_all_axes() {
        let found = of("int64[8] p = {0, 0, 1, 2, 0, 0, 3, 4}", "Pad(x, p)");
        assert_eq!(found, Ok(vec![1, 2, 3, 4]));
    }

    #[test]
    fn reads_amounts_of_some_axes() {
        let found = of("int64[2] p = {1, 2}, int64[1] axes = {-1}", "Pad(x, p, , axes)");
        assert_eq!(found, Ok(vec![0, 1, 0, 2]));
    }

    #[test]
    fn reads_amounts_of_old_operators() {
        let pad = "Pad<pads = [0, 0, 1, 2, 0, 0, 3, 4]>(x)";
        assert_eq!(zeros(10, "float[1,3,8,8] x", "float k", pad), Ok(vec![1, 2, 3, 4]));
        let pad = "Pad<paddings = [0, 0, 1, 2, 0, 0, 3, 4]>(x)";
        assert_eq!(zeros(1, "float[1,3,8,8] x", "float k", pad), Ok(vec![1, 2, 3, 4]));
    }

    #[test]
    fn refuses_reflections() {
        let found = of("int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}", r#"Pad<mode = "reflect">(x, p)"#);
        assert_eq!(found, Err("Pad is not in constant mode".to_owned()));
    }

    #[test]
    fn refuses_other_numbers() {
        let reason = Err("Pad does not fill with zeros".to_owned());
        let found = of("int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}, float k = {1}", "Pad(x, p, k)");
        assert_eq!(found, reason);
        let inputs = "float[1,3,8,8] x, float k";
        let p = "int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}";
        assert_eq!(zeros(18, inputs, p, "Pad(x, p, k)"), reason);
        let pad = "Pad<pads = [0, 0, 1, 2, 0, 0, 3, 4], value = 1.0>(x)";
        assert_eq!(zeros(10, inputs, "float one = {1}", pad), reason);
    }

    #[test]
    fn refuses_amounts_that_are_computed() {
        let inputs = "float[1,3,8,8] x, int64[8] p, int64[2] axes";
        let constants = "int64[4] q = {1, 1, 1, 1}";
        let found = zeros(18, inputs, constants, "Pad(x, p)");
        assert_eq!(found, Err("Pad has no constant amounts".to_owned()));
        let found = zeros(18, inputs, constants, "Pad(x, q, , axes)");
        assert_eq!(found, Err("Pad has no constant axes".to_owned()));
    }

    #[test]
    fn refuses_amounts_for_another_rank() {
        let found = of("int64[6] p = {0, 0, 1, 0, 0, 1}", "Pad(x, p)");
        assert_eq!(found, Err("Pad has other amounts than the rank calls for".to_owned()));
        let found = of("int64[2] p = {1, 1}, int64[1] axes = {4}", "Pad(x, p, , axes)");
        assert_eq!(found, Err("Pad has no constant axes".to_owned()));
    }

    #[test]
    fn refuses_cropping() {
        let found = of("int64[8] p = {0, 0, 1, -1, 0, 0, 1, 1}", "Pad(x, p)");
        assert_eq!(found, Err("Pad removes elements".to_owned()));
    }

    #[test]
    fn refuses_more_channels() {
        let found = of("int64[8] p = {0, 1, 1, 1, 0, 0, 1, 1}", "Pad(x, p)");
        assert_eq!(found, Err("Pad widens the batch or the channels".to_owned()));
    }

    #[test]
    fn refuses_padding_that_depends_on_the_input() {
        let own = |attributes: &str| {
            let model = parse(&format!(
                "g (float[1,3,8,8] x, float[4,3,3,3] w) => (float[] y) {{ y = Conv<{attributes}>(x, w) }}"
            ));
            let (id, _) = model.graph.nodes().next().expect("there is a node");
            pads(&model.graph[id], 2)
        };
        let because = |reason: &'static str| Err(Skip::Because(reason.into()));
        let reason = "auto_pad depends on the size of the input";
        assert_eq!(own(r#"auto_pad = "SAME_UPPER""#), because(reason));
        assert_eq!(own(r#"auto_pad = "VALID""#), Ok(vec![0; 4]));
        assert_eq!(own("pads = [1, 2, 3, 4]"), Ok(vec![1, 2, 3, 4]));
    }
}
