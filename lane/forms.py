"""Small models of attention in the forms exporters and ONNX Runtime's fusions write it, with seeded weights."""
import os

import numpy as np
import onnx
from onnx.numpy_helper import from_array

PLAIN = "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv)"
SQUARE = {"wq": (12, 12), "wk": (12, 12), "wv": (12, 12), "wo": (12, 12)}
PAST = {"seqlens": np.array([4, 4], np.int32), "total": np.array(5, np.int32)}
ANGLES = {"cosine": (9, 2), "sine": (9, 2)}
POSITIONS = np.tile(np.arange(5), (2, 1))


def heads(name):
    return f"{name}h = Reshape({name}, split) {name}t = Transpose<perm = [0, 2, 1, 3]>({name}h)"


# By name: operator set, nodes from x to y, weights: shapes of random ones, or data.
FORMS = {
    "attention_3d": (23, f"{PLAIN} c = Attention<q_num_heads = 4, kv_num_heads = 4>(q, k, v) y = MatMul(c, wo)", SQUARE),
    "attention_3d_shared": (
        23,
        f"{PLAIN} c = Attention<q_num_heads = 8, kv_num_heads = 4>(q, k, v, mask) y = MatMul(c, wo)",
        {"wq": (12, 24), "wk": (12, 12), "wv": (12, 20), "mask": (1, 8, 5, 5), "wo": (40, 12)},
    ),
    "attention_4d": (
        23,
        f"{PLAIN} {heads('q')} {heads('k')} {heads('v')} ch = Attention<scale = 0.5>(qt, kt, vt)"
        " ct = Transpose<perm = [0, 2, 1, 3]>(ch) c = Reshape(ct, join) y = MatMul(c, wo)",
        {**SQUARE, "split": np.array([0, 0, 4, 3]), "join": np.array([0, 0, 12])},
    ),
    "rotary_embedding": (
        23,
        f"{PLAIN} qr = RotaryEmbedding<num_heads = 4>(q, cosine, sine, at) kr = RotaryEmbedding<num_heads = 4>(k, cosine, sine, at)"
        " c = Attention<q_num_heads = 4, kv_num_heads = 4>(qr, kr, v) y = MatMul(c, wo)",
        {"wq": (12, 16), "wk": (12, 16), "wv": (12, 12), "wo": (12, 12), "at": POSITIONS, **ANGLES},
    ),
    "microsoft_attention": (
        18,
        "c = com.microsoft.Attention<num_heads = 4>(x, w, b) y = MatMul(c, wo)",
        {"w": (12, 36), "b": (36,), "wo": (12, 12)},
    ),
    "microsoft_attention_sizes": (
        18,
        "c = com.microsoft.Attention<num_heads = 4, qkv_hidden_sizes = [8, 8, 16]>(x, w, b, , , bias) y = MatMul(c, wo)",
        {"w": (12, 32), "b": (32,), "bias": (1, 4, 5, 5), "wo": (16, 12)},
    ),
    "multi_head_attention": (
        18,
        f"{PLAIN} c = com.microsoft.MultiHeadAttention<num_heads = 4>(q, k, v, b, , bias) y = MatMul(c, wo)",
        {"wq": (12, 8), "wk": (12, 8), "wv": (12, 12), "b": (28,), "bias": (1, 4, 5, 5), "wo": (12, 12)},
    ),
    "grouped_query_attention": (
        18,
        f"{PLAIN} c, pk, pv = com.microsoft.GroupQueryAttention<num_heads = 8, kv_num_heads = 4>(q, k, v, , , seqlens, total)"
        " y = MatMul(c, wo)",
        {"wq": (12, 64), "wk": (12, 32), "wv": (12, 32), "wo": (64, 12), **PAST},
    ),
    "grouped_query_attention_packed": (
        18,
        "p = MatMul(x, w) c, pk, pv = com.microsoft.GroupQueryAttention<num_heads = 8, kv_num_heads = 4, do_rotary = 1>"
        "(p, , , , , seqlens, total, cosine, sine) y = MatMul(c, wo)",
        {"w": (12, 256), "wo": (128, 12), "cosine": (9, 8), "sine": (9, 8), **PAST},
    ),
    "microsoft_rotary_embedding": (
        18,
        f"{PLAIN} qr = com.microsoft.RotaryEmbedding(q, at, cosine, sine) kr = com.microsoft.RotaryEmbedding(k, at, cosine, sine)"
        " c = com.microsoft.MultiHeadAttention<num_heads = 4>(qr, kr, v) y = MatMul(c, wo)",
        {"wq": (12, 16), "wk": (12, 16), "wv": (12, 12), "wo": (12, 12), "at": POSITIONS, **ANGLES},
    ),
    "fused_products": (
        18,
        "a = com.microsoft.FusedMatMul<transB = 1, alpha = 0.5>(x, wa) c = com.microsoft.BiasGelu(a, ba)"
        " d = MatMul(c, wb) e = com.microsoft.FastGelu(d, bb) f = com.microsoft.QuickGelu(e)"
        " y = com.microsoft.FusedMatMul<transB = 1>(f, wo)",
        {"wa": (20, 12), "ba": (20,), "wb": (20, 16), "bb": (16,), "wo": (12, 16)},
    ),
    "fused_gemm": (
        18,
        "r = Reshape(x, flat) a = com.microsoft.FusedGemm<transB = 1, activation = \"Relu\">(r, wa, ba)"
        " g = Gemm<transB = 1>(a, wo) y = Reshape(g, back)",
        {"wa": (20, 12), "ba": (20,), "wo": (12, 20), "flat": np.array([-1, 12]), "back": np.array([-1, 5, 12])},
    ),
    "fused_convolution": (
        18,
        "r = Unsqueeze(x, one) z = Conv(r, wz) a = com.microsoft.FusedConv<activation = \"Relu\">(r, wa, ba, z)"
        " o = Conv(a, wo) y = Squeeze(o, one)",
        {"wz": (8, 1, 1, 1), "wa": (8, 1, 1, 1), "ba": (8,), "wo": (1, 8, 1, 1), "one": np.array([1])},
    ),
    "skip_layer_normalization": (
        18,
        f"{PLAIN} c = com.microsoft.MultiHeadAttention<num_heads = 4>(q, k, v) o = MatMul(c, wo)"
        " n = com.microsoft.SkipLayerNormalization(x, o, gain, shift) h = MatMul(n, wh) r = Relu(h) l = MatMul(r, wl)"
        " y = com.microsoft.SkipSimplifiedLayerNormalization(n, l, gain)",
        {**SQUARE, "gain": (12,), "shift": (12,), "wh": (12, 24), "wl": (24, 12)},
    ),
}


def build(name):
    """One of the forms as a model from x to y, both `[batch, 5, 12]`; the batch is 2."""
    opset, nodes, weights = FORMS[name]
    imports = f'"" : {opset}, "com.microsoft" : 1'
    model = onnx.parser.parse_model(
        f"<ir_version: 10, opset_import: [{imports}]> g (float[2,5,12] x) => (float[2,5,12] y) {{ {nodes} }}"
    )
    rng = np.random.default_rng(7)
    for weight, value in weights.items():
        data = value if isinstance(value, np.ndarray) else rng.standard_normal(value).astype(np.float32)
        model.graph.initializer.append(from_array(data, weight))
    return model


def write(folder):
    """Writes every form to a file of the folder; the paths."""
    paths = []
    for name in FORMS:
        paths.append(os.path.join(folder, f"{name}.onnx"))
        onnx.save(build(name), paths[-1])
    return paths
