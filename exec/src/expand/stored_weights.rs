//! `DequantizeLinear` of a constant in integers the runtime lacks, or in blocks, as the numbers it stands for.
use lapidary_ir::{ElemType, Graph, NodeId, Patch, Tensor};

/// Whether what is dequantized is a constant of fewer than 8 bits, of 16, or has scales per block.
pub(super) fn applies(graph: &Graph, id: NodeId) -> bool {
    let node = &graph[id];
    let Some(tensor) = node.input(0).and_then(|id| graph.constant(id)) else { return false };
    let bits = tensor.elem_type().bits();
    bits.is_some_and(|bits| bits < 8 || bits == 16) || node.int("block_size").unwrap_or(0) != 0
}

/// x = (q − zero point) · scale, with a scale for all, for each index of an axis, or for each block of them.
pub(super) fn expansion(graph: &Graph, id: NodeId) -> Option<Patch> {
    let node = &graph[id];
    let constant = |slot: usize| node.input(slot).and_then(|id| graph.constant(id));
    let stored = constant(0)?;
    let (codes, scale) = (stored.to_i64()?, constant(1)?);
    if scale.elem_type() != ElemType::FLOAT {
        return None;
    }
    let scales = scale.to_f32()?;
    let zero_points = match node.input(2) {
        Some(_) => constant(2)?.to_i64()?,
        None => vec![0; scales.len()],
    };
    let (axis, block) = (node.int("axis").unwrap_or(1), node.int("block_size").unwrap_or(0));
    let layout = Layout::new(stored.dims(), scale.dims(), axis, block)?;
    let number = |(index, &code): (usize, &i64)| {
        let at = layout.scale_of(index);
        Some((code - *zero_points.get(at)?) as f32 * *scales.get(at)?)
    };
    let numbers: Option<Vec<f32>> = codes.iter().enumerate().map(number).collect();
    let mut patch = Patch::default();
    let numbers = patch.initializer("dequantized", Tensor::new(stored.dims(), &numbers?));
    patch.replace(node.output(0)?, numbers);
    Some(patch)
}

/// Which scale an element has.
enum Layout {
    One,
    /// One for each index of an axis of `length`, `inner` elements apart.
    Axis {
        length: usize,
        inner: usize,
    },
    /// One for `block` indices of the axis, of which there are `count`, apart for each of the `inner` elements.
    Blocks {
        length: usize,
        inner: usize,
        block: usize,
        count: usize,
    },
}

impl Layout {
    fn new(dims: &[i64], scale_dims: &[i64], axis: i64, block: i64) -> Option<Self> {
        if block == 0 && scale_dims.iter().product::<i64>() == 1 {
            return Some(Self::One);
        }
        let axis = usize::try_from(if axis < 0 { axis + dims.len() as i64 } else { axis }).ok()?;
        let length = usize::try_from(*dims.get(axis)?).ok()?;
        let inner = dims[axis + 1..].iter().map(|&dim| dim as usize).product();
        match (scale_dims, block) {
            (&[count], 0) if count as usize == length => Some(Self::Axis { length, inner }),
            (_, 1..) if scale_dims.len() == dims.len() => {
                let (block, count) = (block as usize, scale_dims[axis] as usize);
                (count == length.div_ceil(block)).then_some(Self::Blocks {
                    length,
                    inner,
                    block,
                    count,
                })
            }
            _ => None,
        }
    }

    fn scale_of(&self, index: usize) -> usize {
        match *self {
            Self::One => 0,
            Self::Axis { length, inner } => index / inner % length,
            Self::Blocks { length, inner, block, count } => {
                let (outer, along) = (index / (inner * length), index / inner % length);
                (outer * count + along / block) * inner + index % inner
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_same, assert_same_models};

    const HEAD: &str = r#"<ir_version: 10, opset_import: ["" : 21]>"#;

    #[test]
    fn packed_weights_are_what_they_stand_for() {
        let model = |constants: &str, nodes: &str| {
            format!("{HEAD} g (float[2,3] x) => (float[2,2] y) <{constants}> {{ {nodes} }}")
        };
        let per_channel = model(
            "int4[3,2] q = {-8, 7, 1, 2, -3, 0}, float[2] s = {0.5, 2}, int4[2] z = {0, 1}",
            "d = DequantizeLinear <axis = 1> (q, s, z) y = MatMul(x, d)",
        );
        let w = "float[3,2] w = {-4, 12, 0.5, 2, -1.5, -2}";
        assert_same_models(&per_channel, &model(w, "y = MatMul(x, w)"));
        let per_tensor = model(
            "int4[3,2] q = {-8, 7, 1, 2, -3, 0}, float half = {0.5}",
            "d = DequantizeLinear(q, half) y = MatMul(x, d)",
        );
        let w = "float[3,2] w = {-4, 3.5, 0.5, 1, -1.5, 0}";
        assert_same_models(&per_tensor, &model(w, "y = MatMul(x, w)"));
    }

    #[test]
    fn a_block_has_a_scale_of_its_own() {
        let interface = "g (float[1,4] x) => (float[1,2] y)
            <int8[4,2] q = {1, 2, 3, 4, 5, 6, 7, 8}, float[2,2] s = {1, 10, 100, 1000},
             float[4,2] w = {1, 20, 3, 40, 500, 6000, 700, 8000}>";
        let blocks = "d = DequantizeLinear <axis = 0, block_size = 2> (q, s) y = MatMul(x, d)";
        assert_same(&format!("{HEAD} {interface}"), blocks, "y = MatMul(x, w)");
    }
}
