//! `Attention` of ONNX's own domain.
use super::Outputs;
use super::site::Site;
use crate::{Dim, ValueType};

/// Inputs Q, K, V, mask, past key, past value. Each of the first three is
/// `[batch, heads, length, size]` or `[batch, length, heads * size]`, and the output is like Q
/// with the size of V. The others are the concatenated key and value,
/// `[batch, heads, past + length, size]`, and the scores, `[batch, heads, length, total]`.
pub(super) fn attention(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type(0);
    let heads = |name: &str| site.node().int(name).map_or(Dim::UNKNOWN, Dim::from);
    let past = if site.has_input(4) { site.dim(4, 2) } else { 0.into() };
    let (shape, keys, values, scores) = match site.rank(0)? {
        4 => {
            let [batch, q_heads, length] = [0, 1, 2].map(|axis| site.dim(0, axis));
            let total = past + site.dim(1, 2);
            (
                vec![batch.clone(), q_heads.clone(), length.clone(), site.dim(2, 3)],
                vec![batch.clone(), site.dim(1, 1), total.clone(), site.dim(1, 3)],
                vec![batch.clone(), site.dim(2, 1), total.clone(), site.dim(2, 3)],
                vec![batch, q_heads, length, total],
            )
        }
        3 => {
            let [batch, length] = [0, 1].map(|axis| site.dim(0, axis));
            let (q_heads, kv_heads) = (heads("q_num_heads"), heads("kv_num_heads"));
            let total = past + site.dim(1, 1);
            let [key_size, value_size] = [1, 2].map(|slot| site.dim(slot, 2).floor_div(&kv_heads));
            let width = q_heads.clone() * value_size.clone();
            (
                vec![batch.clone(), length.clone(), width],
                vec![batch.clone(), kv_heads.clone(), total.clone(), key_size],
                vec![batch.clone(), kv_heads, total.clone(), value_size],
                vec![batch, q_heads, length, total],
            )
        }
        _ => return None,
    };
    let typed =
        |slot: usize, shape| ValueType::tensor(site.elem_type(slot).or(elem_type), Some(shape));
    Some(vec![typed(0, shape), typed(1, keys), typed(2, values), typed(0, scores)])
}
