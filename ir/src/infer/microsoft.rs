//! Operators of ONNX Runtime's `com.microsoft` domain.
use super::site::Site;
use super::{
    Outputs, broadcast, convolution, elementwise, matmul, normalization, one, pool, quantize,
    recurrent, slice,
};
use crate::{Dim, ElemType, ValueType};

pub(super) fn outputs(site: &Site<'_>) -> Outputs {
    match site.op_type() {
        "BiasGelu" | "BiasSoftmax" | "FastGelu" | "Gelu" | "GroupNorm" | "QLinearLeakyRelu"
        | "QLinearSigmoid" | "QLinearSoftmax" | "QuickGelu" | "RotaryEmbedding" | "Trilu" => {
            elementwise::same(site)
        }
        "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => skip_layer(site),
        "LayerNormalization" | "SimplifiedLayerNormalization" => normalization::layer(site),
        "EmbedLayerNormalization" => embed_layer(site),
        "FusedConv" => convolution::conv(site),
        "FusedGemm" => matmul::gemm(site),
        "FusedMatMul" => fused_matmul(site),
        "MatMulNBits" => matmul_bits(site),
        "MatMulIntegerToFloat" => {
            let shape = site.shape(0).zip(site.shape(1)).and_then(|(a, b)| matmul::product(a, b));
            one(site.elem_type(2), shape)
        }
        "DynamicQuantizeMatMul" => {
            let shape = site.shape(0).zip(site.shape(1)).and_then(|(a, b)| matmul::product(a, b));
            one(site.elem_type(0), shape)
        }
        "QLinearAdd" | "QLinearMul" => {
            let shape = site.shape(0).zip(site.shape(3)).and_then(|(a, b)| broadcast::pair(a, b));
            one(site.elem_type(7).or(site.elem_type(0)), shape)
        }
        "QGemm" => matmul::quantized_gemm(site),
        "QLinearAveragePool" if !site.flag("channels_last") => pool::average(site),
        "QLinearGlobalAveragePool" if !site.flag("channels_last") => pool::global(site),
        "QLinearConcat" => slice::quantized_concat(site),
        "QLinearWhere" => {
            let shape = broadcast::all([0, 1, 4].into_iter().map(|slot| site.shape(slot)));
            one(site.elem_type(8).or(site.elem_type(1)), shape)
        }
        "DynamicQuantizeLSTM" => recurrent::dynamic_lstm(site),
        "QuantizeLinear" => quantize::quantize(site),
        "DequantizeLinear" => quantize::dequantize(site),
        "Attention" => attention(site),
        "MultiHeadAttention" => multi_head_attention(site),
        "GroupQueryAttention" => grouped_query_attention(site),
        _ => None,
    }
}

/// The output, mean and inverse deviation, and the sum of the inputs.
fn skip_layer(site: &Site<'_>) -> Outputs {
    let ty = ValueType::tensor(site.elem_type(0), site.shape(0).map(<[Dim]>::to_vec));
    let statistics = site.shape(0).and_then(|shape| {
        let mut shape = shape.to_vec();
        *shape.last_mut()? = 1.into();
        Some(shape)
    });
    let statistics = ValueType::tensor(Some(ElemType::FLOAT), statistics);
    Some(vec![ty.clone(), statistics.clone(), statistics, ty])
}

/// Inputs are ids `[batch, length]`, segments, and the embedding `[words, hidden]`.
fn embed_layer(site: &Site<'_>) -> Outputs {
    let [batch, length] = [0, 1].map(|axis| site.dim(0, axis));
    let shape = vec![batch.clone(), length, site.dim(2, 1)];
    let ty = ValueType::tensor(site.elem_type(2), Some(shape));
    Some(vec![ty.clone(), ValueType::tensor(Some(ElemType::INT32), Some(vec![batch])), ty])
}

/// `MatMul` of transposed inputs; batch transposition is not followed.
fn fused_matmul(site: &Site<'_>) -> Outputs {
    if site.flag("transBatchA") || site.flag("transBatchB") {
        return one(site.elem_type(0), None);
    }
    let operand = |slot: usize, name: &str| {
        let mut shape = site.shape(slot)?.to_vec();
        let rank = shape.len();
        if site.flag(name) && rank >= 2 {
            shape.swap(rank - 1, rank - 2);
        }
        Some(shape)
    };
    let operands = operand(0, "transA").zip(operand(1, "transB"));
    one(site.elem_type(0), operands.and_then(|(a, b)| matmul::product(&a, &b)))
}

/// The last dimension becomes `N`.
fn matmul_bits(site: &Site<'_>) -> Outputs {
    let shape = site.shape(0).and_then(|shape| {
        let mut shape = shape.to_vec();
        *shape.last_mut()? = site.node().int("N").map_or(Dim::UNKNOWN, Dim::from);
        Some(shape)
    });
    one(site.elem_type(0), shape)
}

/// Inputs are `[batch, length, hidden]` and the weight of Q, K and V side by side.
fn attention(site: &Site<'_>) -> Outputs {
    let value_size = match site.ints("qkv_hidden_sizes") {
        Some(sizes) => sizes.get(2).map_or(Dim::UNKNOWN, |&size| size.into()),
        None => site.dim(1, 1).floor_div(&3.into()),
    };
    let [batch, length] = [0, 1].map(|axis| site.dim(0, axis));
    one(site.elem_type(0), Some(vec![batch, length, value_size]))
}

/// Inputs are `[batch, length, hidden]`, keys and values also `[batch, heads, length, size]`, or what
/// is packed in `[batch, length, heads, 3, size]`; caches are not followed.
fn multi_head_attention(site: &Site<'_>) -> Outputs {
    let [batch, length] = [0, 1].map(|axis| site.dim(0, axis));
    let hidden = match (site.rank(0)?, site.rank(2)) {
        (3, Some(3)) => site.dim(2, 2),
        (3, Some(4)) => site.dim(2, 1) * site.dim(2, 3),
        (3, None) if site.rank(1) == Some(5) => site.dim(0, 2),
        (5, None) => site.dim(0, 2) * site.dim(0, 4),
        _ => return one(site.elem_type(0), None),
    };
    one(site.elem_type(0), Some(vec![batch, length, hidden]))
}

/// Queries are `[batch, length, heads * size]`, or hold the keys and values too; the caches are
/// `[batch, heads, length, size]` of a length that is not known.
fn grouped_query_attention(site: &Site<'_>) -> Outputs {
    let heads = site.node().int("num_heads").filter(|&heads| heads > 0)?;
    let shared = site.node().int("kv_num_heads").filter(|&heads| heads > 0)?;
    let [batch, length, width] = [0, 1, 2].map(|axis| site.dim(0, axis));
    let (parts, width) = match site.has_input(1) {
        true => (heads, width),
        false => (heads + 2 * shared, width),
    };
    let size = width.floor_div(&parts.into());
    let hidden = size.clone() * Dim::from(heads);
    let elem_type = site.elem_type(0);
    let cache = vec![batch.clone(), shared.into(), Dim::UNKNOWN, size];
    let cache = ValueType::tensor(elem_type, Some(cache));
    let output = ValueType::tensor(elem_type, Some(vec![batch, length, hidden]));
    Some(vec![output, cache.clone(), cache])
}
