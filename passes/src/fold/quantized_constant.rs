//! Constants that are quantized.
use crate::quantize::IntegerType;
use crate::quantize::weight_only::pack;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, Patch, Tensor};

crate::pass! {
    /// Stores what `QuantizeLinear` makes of a constant, and limits of such integers.
    ///
    /// Quantization-aware training exports weights as floats with `QuantizeLinear` and
    /// `DequantizeLinear` behind them. The integers, which are the weights the model was trained
    /// for, are
    ///
    /// y = saturate(round(x / scale) + zero point),
    ///
    /// where the quotient is a 32-bit float, round is to the nearest, ties to even, and scale and
    /// zero point are one for all, one per index of an axis, or one per block of an axis. Some
    /// exporters then limit the integers by `Clip`. The `DequantizeLinear` stays: nothing is
    /// turned back into floats.
    ///
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[1,3] x) => (float[1,2] y)
    /// <float[3,2] w = {0.25, 1, 0.75, -1, 100, -200}, float[2] s = {0.5, 1}, int8[2] z = {0, 0}>
    /// {
    ///     q = QuantizeLinear<axis = 1>(w, s, z)
    ///     d = DequantizeLinear<axis = 1>(q, s, z)
    ///     y = MatMul(x, d)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 8, opset_import: ["" : 13]>
    /// g (float[1,3] x) => (float[1,2] y)
    /// <float[2] s = {0.5, 1}, int8[2] z = {0, 0}, int8[3,2] q = {0, 1, 2, -1, 127, -128}>
    /// {
    ///     d = DequantizeLinear<axis = 1>(q, s, z)
    ///     y = MatMul(x, d)
    /// }
    /// ```
    pub struct FoldQuantizedConstant
    name: "fold-quantized-constant",
    accuracy: Exact,
    emits: [],
}

impl Rule for FoldQuantizedConstant {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["QuantizeLinear", "Clip"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let (x, y) = (node.input(0).or_no_match()?, node.output(0).or_no_match()?);
        let tensor = graph.constant(x).or_no_match()?;
        let folded = match node.is("Clip") {
            true => clipped(graph, root, tensor)?,
            false => quantized(graph, root, tensor)?,
        };
        require(!graph.value(y).is_output(), "a graph output can't be an initializer")?;
        let alike = |reader: NodeId| graph[reader].op_type == node.op_type;
        let alone = graph.consumers(x).all(alike) && !graph.value(x).is_output();
        require(alone, "the constant is also read as it is")?;
        let folded = patch.initializer(graph.value(y).name(), folded);
        patch.replace(y, folded);
        Ok(())
    }
}

/// The limits of integers, applied to a constant.
fn clipped(graph: &Graph, root: NodeId, tensor: &Tensor) -> Result<Tensor, Skip> {
    let integer = IntegerType::of(tensor.elem_type()).or_no_match()?;
    let bound = |slot: usize, open: i32| match graph[root].input(slot) {
        None => Some(i64::from(open)),
        Some(bound) => graph.constant(bound)?.as_i64(),
    };
    let limits = bound(1, integer.min()).zip(bound(2, integer.max()));
    let (low, high) = limits.or_skip("the limits are not constant")?;
    let numbers = tensor.to_i64().or_no_match()?;
    let clipped: Vec<i64> = numbers.iter().map(|&number| number.max(low).min(high)).collect();
    packed(tensor.dims(), &clipped, integer).or_no_match()
}

/// The integers of a constant.
fn quantized(graph: &Graph, root: NodeId, tensor: &Tensor) -> Result<Tensor, Skip> {
    let node = &graph[root];
    let numbers = tensor.to_vec::<f32>().or_skip("the constant is not of type float")?;
    require(!numbers.iter().any(|number| number.is_nan()), "a number is NaN")?;
    let scale = graph.constant_input(root, 1).or_skip("the scale is not constant")?;
    let scales = scale.to_vec::<f32>().or_skip("the scale is not of type float")?;
    require(scales.iter().all(|scale| scale.is_normal()), "a scale is no normal number")?;
    let given = match node.input(2) {
        None => None,
        Some(zero) => Some(graph.constant(zero).or_skip("the zero point is not constant")?),
    };
    let stated = i32::try_from(node.int("output_dtype").unwrap_or(0)).map(ElemType);
    let elem_type = match (given, stated) {
        (Some(zero_point), _) => zero_point.elem_type(),
        (None, Ok(stated)) if stated != ElemType(0) => stated,
        (None, _) => ElemType::UINT8,
    };
    let integer = IntegerType::of(elem_type).or_skip("it makes no integers of 4 to 16 bits")?;
    let single =
        node.int("precision").is_none_or(|it| [0, i64::from(ElemType::FLOAT.0)].contains(&it));
    require(single, "it divides in another precision")?;
    let zero_points = match given {
        Some(zero_point) => zero_point.to_i64().or_no_match()?,
        None => vec![0; scales.len()],
    };
    let shares = Shares::new(node.int("axis"), node.int("block_size"), tensor, scale);
    let shares = shares.filter(|_| scales.len() == zero_points.len());
    // Validation has compared the sizes.
    let shares = shares.or_no_match()?;
    let (least, most) = (i64::from(integer.min()), i64::from(integer.max()));
    let code = |(index, &number): (usize, &f32)| {
        let share = shares.of(index);
        // A quotient beyond 64 bits, or an infinite one, is as large as it gets.
        let nearest = (number / scales[share]).round_ties_even() as i64;
        nearest.saturating_add(zero_points[share]).clamp(least, most)
    };
    let codes: Vec<i64> = numbers.iter().enumerate().map(code).collect();
    packed(tensor.dims(), &codes, integer).or_no_match()
}

/// A tensor of integers that fit their type.
fn packed(dims: &[i64], codes: &[i64], integer: IntegerType) -> Option<Tensor> {
    let bytes: Vec<u8> = match integer.bits() {
        4 => pack(&codes.iter().map(|&code| code as i16).collect::<Vec<_>>(), 4),
        8 => codes.iter().map(|&code| code as u8).collect(),
        _ => codes.iter().flat_map(|&code| (code as u16).to_le_bytes()).collect(),
    };
    Tensor::from_bytes(integer.elem_type(), dims.to_vec(), bytes.into()).ok()
}

/// Which numbers of a tensor share a scale: with d the extent of the axis, i the number of elements behind it, and b
/// the size of a block, element n has the scale
///
/// ⌊n / (d · i)⌋ · ⌈d / b⌉ · i + ⌊⌊n / i⌋ mod d / b⌋ · i + n mod i
///
/// in blocks, ⌊n / i⌋ mod d per index of the axis.
enum Shares {
    All,
    Axis { extent: usize, inner: usize },
    Blocks { extent: usize, inner: usize, size: usize },
}

impl Shares {
    fn new(axis: Option<i64>, size: Option<i64>, tensor: &Tensor, scale: &Tensor) -> Option<Self> {
        let size = usize::try_from(size.unwrap_or(0)).ok()?;
        if size == 0 && scale.len() == 1 && scale.rank() <= 1 {
            return Some(Self::All);
        }
        let dims = tensor.dims();
        let axis = crate::slices::position(axis.unwrap_or(1), dims.len())?;
        let extent = usize::try_from(dims[axis]).ok()?;
        let inner = dims[axis + 1..].iter().map(|&dim| dim as usize).product();
        if size == 0 {
            return (scale.dims() == [dims[axis]]).then_some(Self::Axis { extent, inner });
        }
        let mut blocks = dims.to_vec();
        blocks[axis] = extent.div_ceil(size) as i64;
        (scale.dims() == blocks).then_some(Self::Blocks { extent, inner, size })
    }

    fn of(&self, element: usize) -> usize {
        match *self {
            Self::All => 0,
            Self::Axis { extent, inner } => element / inner % extent,
            Self::Blocks { extent, inner, size } => {
                let outer = element / (extent * inner) * extent.div_ceil(size);
                (outer + element / inner % extent / size) * inner + element % inner
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{parse, rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    /// What becomes of constant `w`, quantized as `call` says.
    fn codes(constants: &str, call: &str) -> (ElemType, Vec<i64>) {
        let source = format!(
            "<ir_version: 10, opset_import: [\"\" : 21]>
            g () => (y) <{constants}> {{ q = {call} y = Identity(q) }}"
        );
        let mut graph = parse(&source).graph;
        let q = graph.find("q").expect("it is there");
        let root = graph.producer(q).expect("a node makes it");
        let mut patch = Patch::default();
        FoldQuantizedConstant {}.rewrite(&graph, root, &mut patch).expect("it folds");
        graph.apply(patch).expect("it applies");
        let folded = graph.constant(graph.find("q").expect("it keeps its name"));
        let folded = folded.expect("it is a constant");
        (folded.elem_type(), folded.to_i64().expect("they are integers"))
    }

    #[test]
    fn ties_go_to_even_and_ends_saturate() {
        let w = "float[7] w = {-0.5, 0.5, 1.5, 2.5, -inf, 1e30, -129}, float s = {1}";
        let (elem_type, found) = codes(&format!("{w}, int8 z = {{0}}"), "QuantizeLinear(w, s, z)");
        assert_eq!((elem_type, found), (ElemType::INT8, vec![0, 0, 2, 2, -128, 127, -128]));
        let (_, found) = codes(&format!("{w}, int8 z = {{3}}"), "QuantizeLinear(w, s, z)");
        assert_eq!(found, [3, 3, 5, 5, -128, 127, -126]);
    }

    #[test]
    fn without_zero_point_it_is_uint8_unless_a_type_is_stated() {
        let w = "float[4] w = {-1, 3, 7.5, 300}, float s = {0.5}";
        assert_eq!(codes(w, "QuantizeLinear(w, s)"), (ElemType::UINT8, vec![0, 6, 15, 255]));
        let stated = codes(w, "QuantizeLinear<output_dtype = 5>(w, s)");
        assert_eq!(stated, (ElemType::INT16, vec![-2, 6, 15, 600]));
    }

    #[test]
    fn every_width_saturates_at_its_own_ends() {
        let ends = |ty: &str| {
            let constants =
                format!("float[3] w = {{-1e6, 1e6, 5}}, float s = {{1}}, {ty} z = {{1}}");
            codes(&constants, "QuantizeLinear(w, s, z)").1
        };
        assert_eq!(ends("int8"), [-128, 127, 6]);
        assert_eq!(ends("uint8"), [0, 255, 6]);
        assert_eq!(ends("int16"), [-32768, 32767, 6]);
        assert_eq!(ends("uint16"), [0, 65535, 6]);
        assert_eq!(ends("int4"), [-8, 7, 6]);
        assert_eq!(ends("uint4"), [0, 15, 6]);
    }

    #[test]
    fn an_axis_has_a_scale_per_index() {
        let w =
            "float[2,2,2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] s = {1, 0.5}, int8[2] z = {0, 1}";
        let (_, first) = codes(w, "QuantizeLinear<axis = 0>(w, s, z)");
        assert_eq!(first, [1, 2, 3, 4, 11, 13, 15, 17]);
        let (_, second) = codes(w, "QuantizeLinear(w, s, z)");
        assert_eq!(second, [1, 2, 7, 9, 5, 6, 15, 17]);
        let (_, last) = codes(w, "QuantizeLinear<axis = -1>(w, s, z)");
        assert_eq!(last, [1, 5, 3, 9, 5, 13, 7, 17]);
    }

    #[test]
    fn blocks_have_a_scale_each_and_the_last_may_be_short() {
        let w = "float[2,5] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
            float[2,3] s = {1, 0.5, 0.25, 1, 2, 4}, int8[2,3] z = {0, 1, 2, 0, 0, 0}";
        let (_, rows) = codes(w, "QuantizeLinear<axis = 1, block_size = 2>(w, s, z)");
        assert_eq!(rows, [1, 2, 7, 9, 22, 6, 7, 4, 4, 2]);
        let w = "float[3,2] w = {1, 2, 3, 4, 5, 6}, float[2,2] s = {1, 0.5, 0.25, 2}";
        let (_, columns) = codes(w, "QuantizeLinear<axis = 0, block_size = 2>(w, s)");
        assert_eq!(columns, [1, 4, 3, 8, 20, 3]);
    }

    #[test]
    fn limits_of_integers_are_folded_too() {
        assert_snapshot!(rewrite(&FoldQuantizedConstant {}, "
            <ir_version: 8, opset_import: [\"\" : 13]>
            g (float[2] x) => (float[2] y)
            <float[2] w = {-200, 1}, float s = {1}, int8 z = {0}, int8 low = {-127}, int8 high = {127}>
            {
                q = QuantizeLinear(w, s, z)
                c = Clip(q, low, high)
                d = DequantizeLinear(c, s, z)
                y = Add(x, d)
            }
        "), @r"
        fold-quantized-constant: 2 rewrites
        g (float[2] x) => (float[2] y)
        <float s = {1}, int8 z = {0}, int8[2] c = {-127, 1}>
        {
            d = DequantizeLinear(c, s, z)
            y = Add(x, d)
        }
        ");
    }

    #[test]
    fn only_what_is_quantized_is_limited() {
        assert_snapshot!(rewrite_unexecuted(&FoldQuantizedConstant {}, "
            <ir_version: 10, opset_import: [\"\" : 21]>
            g (uint8 high) => (float[2] a, uint8[2] b, int64[2] c)
            <float[2] f = {1, 2}, uint8[2] q = {1, 200}, int64[2] k = {1, 2}>
            {
                a = Clip(f)
                b = Clip(q, , high)
                c = Clip(k)
            }
        "), @r"
        fold-quantized-constant: 0 rewrites
        skipped 1: the limits are not constant
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_not_constant_or_not_certain() {
        assert_snapshot!(rewrite_unexecuted(&FoldQuantizedConstant {}, "
            <ir_version: 10, opset_import: [\"\" : 21]>
            g (float t, uint8 z) => (
                uint8[2] y, uint8[2] y1, uint8[2] y2, uint8[2] y3, uint8[2] y4, float8e4m3fn[2] y5,
                uint8[2] y6, float[2] v, uint8[2] y9, uint8[2] y10
            )
            <float[2] w = {1, 2}, float[2] u = {1, 2}, float[2] bad = {1, nan}, float s = {0.5},
                float zero = {0}, int32[2] i = {1, 2}, float16 hs = {1.0}>
            {
                y = QuantizeLinear(w, s)
                a1 = QuantizeLinear(bad, s) y1 = Identity(a1)
                a2 = QuantizeLinear(w, t) y2 = Identity(a2)
                a3 = QuantizeLinear(w, s, z) y3 = Identity(a3)
                a4 = QuantizeLinear(w, zero) y4 = Identity(a4)
                a5 = QuantizeLinear<output_dtype = 17>(w, s) y5 = Identity(a5)
                a6 = QuantizeLinear(i, s) y6 = Identity(a6)
                v = Neg(u)
                a9 = QuantizeLinear(u, s) y9 = Identity(a9)
                a10 = QuantizeLinear(w, hs) y10 = Identity(a10)
            }
        "), @r"
        fold-quantized-constant: 0 rewrites
        skipped 1: a graph output can't be an initializer
        skipped 1: a number is NaN
        skipped 1: a scale is no normal number
        skipped 1: it makes no integers of 4 to 16 bits
        skipped 1: the constant is also read as it is
        skipped 1: the constant is not of type float
        skipped 1: the scale is not constant
        skipped 1: the scale is not of type float
        skipped 1: the zero point is not constant
        unchanged
        ");
    }

    #[test]
    fn keeps_a_division_in_another_precision() {
        assert_snapshot!(rewrite_unexecuted(&FoldQuantizedConstant {}, "
            <ir_version: 11, opset_import: [\"\" : 23]>
            g () => (uint8[2] y)
            <float[2] w = {1, 2}, float s = {0.5}>
            {
                q = QuantizeLinear<precision = 10>(w, s)
                y = Identity(q)
            }
        "), @r"
        fold-quantized-constant: 0 rewrites
        skipped 1: it divides in another precision
        unchanged
        ");
    }
}
