//! The operators of ONNX's own domain, as onnx 1.22.0 knows them.
//!
//! Written by generate.py; do not edit.
use super::{
    AttributeFact, AttributeKind as K,
    DefaultValue::{Float, Int, Ints, String, Strings},
    MANY, Operator, from, op, optional, required,
};

/// The newest operator set in the table.
pub(super) const NEWEST: i64 = 27;

const ABS_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const ADD_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
    optional("consumed_inputs", K::Ints),
];
const ADD_6: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const AFFINEGRID_20: &[AttributeFact] = &[
    optional("align_corners", K::Int).or(Int(0)),
];
const AND_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const ARGMAX_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("keepdims", K::Int).or(Int(1)),
];
const ARGMAX_12: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("keepdims", K::Int).or(Int(1)),
    optional("select_last_index", K::Int).or(Int(0)),
];
const ARGMIN_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("keepdims", K::Int).or(Int(1)),
];
const ARGMIN_12: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("keepdims", K::Int).or(Int(1)),
    optional("select_last_index", K::Int).or(Int(0)),
];
const ATTENTION_23: &[AttributeFact] = &[
    optional("is_causal", K::Int).or(Int(0)),
    optional("kv_num_heads", K::Int),
    optional("q_num_heads", K::Int),
    optional("qk_matmul_output_mode", K::Int).or(Int(0)),
    optional("scale", K::Float),
    optional("softcap", K::Float).or(Float(0.0)),
    optional("softmax_precision", K::Int),
];
const AVERAGEPOOL_1: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const AVERAGEPOOL_7: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("count_include_pad", K::Int).or(Int(0)),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const AVERAGEPOOL_10: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("ceil_mode", K::Int).or(Int(0)),
    optional("count_include_pad", K::Int).or(Int(0)),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const AVERAGEPOOL_19: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("ceil_mode", K::Int).or(Int(0)),
    optional("count_include_pad", K::Int).or(Int(0)),
    optional("dilations", K::Ints),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const BATCHNORMALIZATION_1: &[AttributeFact] = &[
    required("consumed_inputs", K::Ints),
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("is_test", K::Int).or(Int(0)),
    optional("momentum", K::Float).or(Float(0.9)),
    optional("spatial", K::Int).or(Int(1)),
];
const BATCHNORMALIZATION_6: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("is_test", K::Int).or(Int(0)),
    optional("momentum", K::Float).or(Float(0.9)),
    optional("spatial", K::Int).or(Int(1)),
];
const BATCHNORMALIZATION_7: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("momentum", K::Float).or(Float(0.9)),
    optional("spatial", K::Int).or(Int(1)),
];
const BATCHNORMALIZATION_9: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("momentum", K::Float).or(Float(0.9)),
];
const BATCHNORMALIZATION_14: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("momentum", K::Float).or(Float(0.9)),
    optional("training_mode", K::Int).or(Int(0)),
];
const BERNOULLI_15: &[AttributeFact] = &[
    optional("dtype", K::Int),
    optional("seed", K::Float),
];
const BITCAST_26: &[AttributeFact] = &[
    required("to", K::Int),
];
const BITSHIFT_11: &[AttributeFact] = &[
    required("direction", K::String),
];
const BLACKMANWINDOW_17: &[AttributeFact] = &[
    optional("output_datatype", K::Int).or(Int(1)),
    optional("periodic", K::Int).or(Int(1)),
];
const CAST_1: &[AttributeFact] = &[
    required("to", K::String),
];
const CAST_6: &[AttributeFact] = &[
    required("to", K::Int),
];
const CAST_19: &[AttributeFact] = &[
    optional("saturate", K::Int).or(Int(1)),
    required("to", K::Int),
];
const CAST_24: &[AttributeFact] = &[
    optional("round_mode", K::String).or(String("up")),
    optional("saturate", K::Int).or(Int(1)),
    required("to", K::Int),
];
const CASTLIKE_19: &[AttributeFact] = &[
    optional("saturate", K::Int).or(Int(1)),
];
const CASTLIKE_24: &[AttributeFact] = &[
    optional("round_mode", K::String).or(String("up")),
    optional("saturate", K::Int).or(Int(1)),
];
const CAUSALCONVWITHSTATE_27: &[AttributeFact] = &[
    optional("activation", K::String).or(String("none")),
];
const CEIL_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const CELU_12: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
];
const CENTERCROPPAD_18: &[AttributeFact] = &[
    optional("axes", K::Ints),
];
const CLIP_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
    optional("max", K::Float),
    optional("min", K::Float),
];
const CLIP_6: &[AttributeFact] = &[
    optional("max", K::Float).or(Float(3.4028235e+38)),
    optional("min", K::Float).or(Float(-3.4028235e+38)),
];
const COL2IM_18: &[AttributeFact] = &[
    optional("dilations", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const COMPRESS_9: &[AttributeFact] = &[
    optional("axis", K::Int),
];
const CONCAT_1: &[AttributeFact] = &[
    optional("axis", K::Int),
];
const CONCAT_4: &[AttributeFact] = &[
    required("axis", K::Int),
];
const CONCATFROMSEQUENCE_11: &[AttributeFact] = &[
    required("axis", K::Int),
    optional("new_axis", K::Int).or(Int(0)),
];
const CONSTANT_1: &[AttributeFact] = &[
    required("value", K::Tensor),
];
const CONSTANT_11: &[AttributeFact] = &[
    optional("sparse_value", K::SparseTensor),
    optional("value", K::Tensor),
];
const CONSTANT_12: &[AttributeFact] = &[
    optional("sparse_value", K::SparseTensor),
    optional("value", K::Tensor),
    optional("value_float", K::Float),
    optional("value_floats", K::Floats),
    optional("value_int", K::Int),
    optional("value_ints", K::Ints),
    optional("value_string", K::String),
    optional("value_strings", K::Strings),
];
const CONSTANTOFSHAPE_9: &[AttributeFact] = &[
    optional("value", K::Tensor),
];
const CONV_1: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("dilations", K::Ints),
    optional("group", K::Int).or(Int(1)),
    optional("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const CONVINTEGER_10: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("dilations", K::Ints),
    optional("group", K::Int).or(Int(1)),
    optional("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const CONVTRANSPOSE_1: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("dilations", K::Ints),
    optional("group", K::Int).or(Int(1)),
    optional("kernel_shape", K::Ints),
    optional("output_padding", K::Ints),
    optional("output_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const CUMPROD_26: &[AttributeFact] = &[
    optional("exclusive", K::Int).or(Int(0)),
    optional("reverse", K::Int).or(Int(0)),
];
const CUMSUM_11: &[AttributeFact] = &[
    optional("exclusive", K::Int).or(Int(0)),
    optional("reverse", K::Int).or(Int(0)),
];
const DFT_17: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("inverse", K::Int).or(Int(0)),
    optional("onesided", K::Int).or(Int(0)),
];
const DFT_20: &[AttributeFact] = &[
    optional("inverse", K::Int).or(Int(0)),
    optional("onesided", K::Int).or(Int(0)),
];
const DEFORMCONV_19: &[AttributeFact] = &[
    optional("dilations", K::Ints),
    optional("group", K::Int).or(Int(1)),
    optional("kernel_shape", K::Ints),
    optional("offset_group", K::Int).or(Int(1)),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const DEPTHTOSPACE_1: &[AttributeFact] = &[
    required("blocksize", K::Int),
];
const DEPTHTOSPACE_11: &[AttributeFact] = &[
    required("blocksize", K::Int),
    optional("mode", K::String).or(String("DCR")),
];
const DEQUANTIZELINEAR_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const DEQUANTIZELINEAR_21: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("block_size", K::Int).or(Int(0)),
];
const DEQUANTIZELINEAR_23: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("block_size", K::Int).or(Int(0)),
    optional("output_dtype", K::Int).or(Int(0)),
];
const DIV_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
    optional("consumed_inputs", K::Ints),
];
const DIV_6: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const DROPOUT_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
    optional("is_test", K::Int).or(Int(0)),
    optional("ratio", K::Float).or(Float(0.5)),
];
const DROPOUT_6: &[AttributeFact] = &[
    optional("is_test", K::Int).or(Int(0)),
    optional("ratio", K::Float).or(Float(0.5)),
];
const DROPOUT_7: &[AttributeFact] = &[
    optional("ratio", K::Float).or(Float(0.5)),
];
const DROPOUT_12: &[AttributeFact] = &[
    optional("seed", K::Int),
];
const EINSUM_12: &[AttributeFact] = &[
    required("equation", K::String),
];
const ELU_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
    optional("consumed_inputs", K::Ints),
];
const ELU_6: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
];
const EQUAL_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const EXP_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const EYELIKE_9: &[AttributeFact] = &[
    optional("dtype", K::Int),
    optional("k", K::Int).or(Int(0)),
];
const FLATTEN_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const FLOOR_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const GRU_1: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("foward")),
    optional("hidden_size", K::Int),
    optional("output_sequence", K::Int).or(Int(0)),
];
const GRU_3: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("linear_before_reset", K::Int).or(Int(0)),
    optional("output_sequence", K::Int).or(Int(0)),
];
const GRU_7: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("linear_before_reset", K::Int).or(Int(0)),
];
const GRU_14: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("layout", K::Int).or(Int(0)),
    optional("linear_before_reset", K::Int).or(Int(0)),
];
const GATHER_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
];
const GATHERELEMENTS_11: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
];
const GATHERND_12: &[AttributeFact] = &[
    optional("batch_dims", K::Int).or(Int(0)),
];
const GELU_20: &[AttributeFact] = &[
    optional("approximate", K::String).or(String("none")),
];
const GEMM_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
    optional("beta", K::Float).or(Float(1.0)),
    optional("broadcast", K::Int).or(Int(0)),
    optional("transA", K::Int).or(Int(0)),
    optional("transB", K::Int).or(Int(0)),
];
const GEMM_7: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
    optional("beta", K::Float).or(Float(1.0)),
    optional("transA", K::Int).or(Int(0)),
    optional("transB", K::Int).or(Int(0)),
];
const GLOBALLPPOOL_1: &[AttributeFact] = &[
    optional("p", K::Float).or(Float(2.0)),
];
const GLOBALLPPOOL_2: &[AttributeFact] = &[
    optional("p", K::Int).or(Int(2)),
];
const GREATER_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const GRIDSAMPLE_16: &[AttributeFact] = &[
    optional("align_corners", K::Int).or(Int(0)),
    optional("mode", K::String).or(String("bilinear")),
    optional("padding_mode", K::String).or(String("zeros")),
];
const GRIDSAMPLE_20: &[AttributeFact] = &[
    optional("align_corners", K::Int).or(Int(0)),
    optional("mode", K::String).or(String("linear")),
    optional("padding_mode", K::String).or(String("zeros")),
];
const GROUPNORMALIZATION_18: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    required("num_groups", K::Int),
];
const GROUPNORMALIZATION_21: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
    required("num_groups", K::Int),
    optional("stash_type", K::Int).or(Int(1)),
];
const HAMMINGWINDOW_17: &[AttributeFact] = &[
    optional("output_datatype", K::Int).or(Int(1)),
    optional("periodic", K::Int).or(Int(1)),
];
const HANNWINDOW_17: &[AttributeFact] = &[
    optional("output_datatype", K::Int).or(Int(1)),
    optional("periodic", K::Int).or(Int(1)),
];
const HARDSIGMOID_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(0.2)),
    optional("beta", K::Float).or(Float(0.5)),
    optional("consumed_inputs", K::Ints),
];
const HARDSIGMOID_6: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(0.2)),
    optional("beta", K::Float).or(Float(0.5)),
];
const HARDMAX_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const HARDMAX_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
];
const IF_1: &[AttributeFact] = &[
    required("else_branch", K::Graph),
    required("then_branch", K::Graph),
];
const IMAGEDECODER_20: &[AttributeFact] = &[
    optional("pixel_format", K::String).or(String("RGB")),
];
const INSTANCENORMALIZATION_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
    optional("epsilon", K::Float).or(Float(1e-05)),
];
const INSTANCENORMALIZATION_6: &[AttributeFact] = &[
    optional("epsilon", K::Float).or(Float(1e-05)),
];
const ISINF_10: &[AttributeFact] = &[
    optional("detect_negative", K::Int).or(Int(1)),
    optional("detect_positive", K::Int).or(Int(1)),
];
const LRN_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(0.0001)),
    optional("beta", K::Float).or(Float(0.75)),
    optional("bias", K::Float).or(Float(1.0)),
    required("size", K::Int),
];
const LSTM_1: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("input_forget", K::Int).or(Int(0)),
    optional("output_sequence", K::Int).or(Int(0)),
];
const LSTM_7: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("input_forget", K::Int).or(Int(0)),
];
const LSTM_14: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("input_forget", K::Int).or(Int(0)),
    optional("layout", K::Int).or(Int(0)),
];
const LAYERNORMALIZATION_17: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("stash_type", K::Int).or(Int(1)),
];
const LEAKYRELU_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(0.01)),
    optional("consumed_inputs", K::Ints),
];
const LEAKYRELU_6: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(0.01)),
];
const LESS_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const LINEARATTENTION_27: &[AttributeFact] = &[
    optional("chunk_size", K::Int).or(Int(64)),
    required("kv_num_heads", K::Int),
    required("q_num_heads", K::Int),
    optional("scale", K::Float).or(Float(0.0)),
    optional("update_rule", K::String).or(String("gated_delta")),
];
const LOG_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const LOGSOFTMAX_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const LOGSOFTMAX_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
];
const LOOP_1: &[AttributeFact] = &[
    required("body", K::Graph),
];
const LPNORMALIZATION_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
    optional("p", K::Int).or(Int(2)),
];
const LPPOOL_1: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("kernel_shape", K::Ints),
    optional("p", K::Float).or(Float(2.0)),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const LPPOOL_2: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    required("kernel_shape", K::Ints),
    optional("p", K::Int).or(Int(2)),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const LPPOOL_18: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("ceil_mode", K::Int).or(Int(0)),
    optional("dilations", K::Ints),
    required("kernel_shape", K::Ints),
    optional("p", K::Int).or(Int(2)),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const MAX_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const MAXPOOL_1: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const MAXPOOL_8: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("storage_order", K::Int).or(Int(0)),
    optional("strides", K::Ints),
];
const MAXPOOL_10: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("ceil_mode", K::Int).or(Int(0)),
    optional("dilations", K::Ints),
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("storage_order", K::Int).or(Int(0)),
    optional("strides", K::Ints),
];
const MAXROIPOOL_1: &[AttributeFact] = &[
    required("pooled_shape", K::Ints),
    optional("spatial_scale", K::Float).or(Float(1.0)),
];
const MAXUNPOOL_9: &[AttributeFact] = &[
    required("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const MEAN_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const MEANVARIANCENORMALIZATION_9: &[AttributeFact] = &[
    optional("axes", K::Ints).or(Ints(&[0, 2, 3])),
];
const MELWEIGHTMATRIX_17: &[AttributeFact] = &[
    optional("output_datatype", K::Int).or(Int(1)),
];
const MIN_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const MOD_10: &[AttributeFact] = &[
    optional("fmod", K::Int).or(Int(0)),
];
const MUL_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
    optional("consumed_inputs", K::Ints),
];
const MUL_6: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const MULTINOMIAL_7: &[AttributeFact] = &[
    optional("dtype", K::Int).or(Int(6)),
    optional("sample_size", K::Int).or(Int(1)),
    optional("seed", K::Float),
];
const NEG_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const NEGATIVELOGLIKELIHOODLOSS_12: &[AttributeFact] = &[
    optional("ignore_index", K::Int),
    optional("reduction", K::String).or(String("mean")),
];
const NONMAXSUPPRESSION_10: &[AttributeFact] = &[
    optional("center_point_box", K::Int).or(Int(0)),
];
const ONEHOT_9: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
];
const OPTIONAL_15: &[AttributeFact] = &[
    optional("type", K::TypeProto),
];
const OR_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const PRELU_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const PAD_1: &[AttributeFact] = &[
    optional("mode", K::String).or(String("constant")),
    required("paddings", K::Ints),
    optional("value", K::Float).or(Float(0.0)),
];
const PAD_2: &[AttributeFact] = &[
    optional("mode", K::String).or(String("constant")),
    required("pads", K::Ints),
    optional("value", K::Float).or(Float(0.0)),
];
const PAD_11: &[AttributeFact] = &[
    optional("mode", K::String).or(String("constant")),
];
const POW_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const QLINEARCONV_10: &[AttributeFact] = &[
    optional("auto_pad", K::String).or(String("NOTSET")),
    optional("dilations", K::Ints),
    optional("group", K::Int).or(Int(1)),
    optional("kernel_shape", K::Ints),
    optional("pads", K::Ints),
    optional("strides", K::Ints),
];
const QUANTIZELINEAR_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const QUANTIZELINEAR_19: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("saturate", K::Int).or(Int(1)),
];
const QUANTIZELINEAR_21: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("block_size", K::Int).or(Int(0)),
    optional("output_dtype", K::Int).or(Int(0)),
    optional("saturate", K::Int).or(Int(1)),
];
const QUANTIZELINEAR_23: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
    optional("block_size", K::Int).or(Int(0)),
    optional("output_dtype", K::Int).or(Int(0)),
    optional("precision", K::Int).or(Int(0)),
    optional("saturate", K::Int).or(Int(1)),
];
const RMSNORMALIZATION_23: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
    optional("epsilon", K::Float).or(Float(1e-05)),
    optional("stash_type", K::Int).or(Int(1)),
];
const RNN_1: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings).or(Strings(&["Tanh", "Tanh"])),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("output_sequence", K::Int).or(Int(0)),
];
const RNN_7: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings).or(Strings(&["Tanh", "Tanh"])),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
];
const RNN_14: &[AttributeFact] = &[
    optional("activation_alpha", K::Floats),
    optional("activation_beta", K::Floats),
    optional("activations", K::Strings).or(Strings(&["Tanh", "Tanh"])),
    optional("clip", K::Float),
    optional("direction", K::String).or(String("forward")),
    optional("hidden_size", K::Int),
    optional("layout", K::Int).or(Int(0)),
];
const RANDOMNORMAL_1: &[AttributeFact] = &[
    optional("dtype", K::Int).or(Int(1)),
    optional("mean", K::Float).or(Float(0.0)),
    optional("scale", K::Float).or(Float(1.0)),
    optional("seed", K::Float),
    required("shape", K::Ints),
];
const RANDOMNORMALLIKE_1: &[AttributeFact] = &[
    optional("dtype", K::Int),
    optional("mean", K::Float).or(Float(0.0)),
    optional("scale", K::Float).or(Float(1.0)),
    optional("seed", K::Float),
];
const RANDOMUNIFORM_1: &[AttributeFact] = &[
    optional("dtype", K::Int).or(Int(1)),
    optional("high", K::Float).or(Float(1.0)),
    optional("low", K::Float).or(Float(0.0)),
    optional("seed", K::Float),
    required("shape", K::Ints),
];
const RANDOMUNIFORMLIKE_1: &[AttributeFact] = &[
    optional("dtype", K::Int),
    optional("high", K::Float).or(Float(1.0)),
    optional("low", K::Float).or(Float(0.0)),
    optional("seed", K::Float),
];
const RANGE_27: &[AttributeFact] = &[
    optional("stash_type", K::Int).or(Int(1)),
];
const RECIPROCAL_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const REDUCEL1_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEL1_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCEL2_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEL2_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCELOGSUM_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCELOGSUM_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCELOGSUMEXP_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCELOGSUMEXP_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCEMAX_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEMAX_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCEMEAN_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEMEAN_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCEMIN_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEMIN_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCEPROD_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCEPROD_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCESUM_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCESUM_13: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REDUCESUMSQUARE_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    optional("keepdims", K::Int).or(Int(1)),
];
const REDUCESUMSQUARE_18: &[AttributeFact] = &[
    optional("keepdims", K::Int).or(Int(1)),
    optional("noop_with_empty_axes", K::Int).or(Int(0)),
];
const REGEXFULLMATCH_20: &[AttributeFact] = &[
    optional("pattern", K::String),
];
const RELU_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const RESHAPE_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
    optional("shape", K::Ints),
];
const RESHAPE_14: &[AttributeFact] = &[
    optional("allowzero", K::Int).or(Int(0)),
];
const RESIZE_10: &[AttributeFact] = &[
    optional("mode", K::String).or(String("nearest")),
];
const RESIZE_11: &[AttributeFact] = &[
    optional("coordinate_transformation_mode", K::String).or(String("half_pixel")),
    optional("cubic_coeff_a", K::Float).or(Float(-0.75)),
    optional("exclude_outside", K::Int).or(Int(0)),
    optional("extrapolation_value", K::Float).or(Float(0.0)),
    optional("mode", K::String).or(String("nearest")),
    optional("nearest_mode", K::String).or(String("round_prefer_floor")),
];
const RESIZE_18: &[AttributeFact] = &[
    optional("antialias", K::Int).or(Int(0)),
    optional("axes", K::Ints),
    optional("coordinate_transformation_mode", K::String).or(String("half_pixel")),
    optional("cubic_coeff_a", K::Float).or(Float(-0.75)),
    optional("exclude_outside", K::Int).or(Int(0)),
    optional("extrapolation_value", K::Float).or(Float(0.0)),
    optional("keep_aspect_ratio_policy", K::String).or(String("stretch")),
    optional("mode", K::String).or(String("nearest")),
    optional("nearest_mode", K::String).or(String("round_prefer_floor")),
];
const REVERSESEQUENCE_10: &[AttributeFact] = &[
    optional("batch_axis", K::Int).or(Int(1)),
    optional("time_axis", K::Int).or(Int(0)),
];
const ROIALIGN_10: &[AttributeFact] = &[
    optional("mode", K::String).or(String("avg")),
    optional("output_height", K::Int).or(Int(1)),
    optional("output_width", K::Int).or(Int(1)),
    optional("sampling_ratio", K::Int).or(Int(0)),
    optional("spatial_scale", K::Float).or(Float(1.0)),
];
const ROIALIGN_16: &[AttributeFact] = &[
    optional("coordinate_transformation_mode", K::String).or(String("half_pixel")),
    optional("mode", K::String).or(String("avg")),
    optional("output_height", K::Int).or(Int(1)),
    optional("output_width", K::Int).or(Int(1)),
    optional("sampling_ratio", K::Int).or(Int(0)),
    optional("spatial_scale", K::Float).or(Float(1.0)),
];
const ROTARYEMBEDDING_23: &[AttributeFact] = &[
    optional("interleaved", K::Int).or(Int(0)),
    optional("num_heads", K::Int),
    optional("rotary_embedding_dim", K::Int).or(Int(0)),
];
const STFT_17: &[AttributeFact] = &[
    optional("onesided", K::Int).or(Int(1)),
];
const SCAN_8: &[AttributeFact] = &[
    required("body", K::Graph),
    optional("directions", K::Ints),
    required("num_scan_inputs", K::Int),
];
const SCAN_9: &[AttributeFact] = &[
    required("body", K::Graph),
    required("num_scan_inputs", K::Int),
    optional("scan_input_axes", K::Ints),
    optional("scan_input_directions", K::Ints),
    optional("scan_output_axes", K::Ints),
    optional("scan_output_directions", K::Ints),
];
const SCATTER_9: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
];
const SCATTERELEMENTS_11: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
];
const SCATTERELEMENTS_16: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("reduction", K::String).or(String("none")),
];
const SCATTERND_16: &[AttributeFact] = &[
    optional("reduction", K::String).or(String("none")),
];
const SELU_1: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.6732)),
    optional("consumed_inputs", K::Ints),
    optional("gamma", K::Float).or(Float(1.0507)),
];
const SELU_6: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.6732632)),
    optional("gamma", K::Float).or(Float(1.050701)),
];
const SEQUENCEEMPTY_11: &[AttributeFact] = &[
    optional("dtype", K::Int),
];
const SEQUENCEMAP_17: &[AttributeFact] = &[
    required("body", K::Graph),
];
const SHAPE_15: &[AttributeFact] = &[
    optional("end", K::Int),
    optional("start", K::Int).or(Int(0)),
];
const SHRINK_9: &[AttributeFact] = &[
    optional("bias", K::Float).or(Float(0.0)),
    optional("lambd", K::Float).or(Float(0.5)),
];
const SIGMOID_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const SLICE_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
    required("ends", K::Ints),
    required("starts", K::Ints),
];
const SOFTMAX_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(1)),
];
const SOFTMAX_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
];
const SOFTMAXCROSSENTROPYLOSS_12: &[AttributeFact] = &[
    optional("ignore_index", K::Int),
    optional("reduction", K::String).or(String("mean")),
];
const SPACETODEPTH_1: &[AttributeFact] = &[
    required("blocksize", K::Int),
];
const SPLIT_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("split", K::Ints),
];
const SPLIT_2: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("split", K::Ints),
];
const SPLIT_13: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
];
const SPLIT_18: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("num_outputs", K::Int),
];
const SPLITTOSEQUENCE_11: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(0)),
    optional("keepdims", K::Int).or(Int(1)),
];
const SQRT_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const SQUEEZE_1: &[AttributeFact] = &[
    optional("axes", K::Ints),
];
const STRINGNORMALIZER_10: &[AttributeFact] = &[
    optional("case_change_action", K::String).or(String("NONE")),
    optional("is_case_sensitive", K::Int).or(Int(0)),
    optional("locale", K::String),
    optional("stopwords", K::Strings),
];
const STRINGSPLIT_20: &[AttributeFact] = &[
    optional("delimiter", K::String),
    optional("maxsplit", K::Int),
];
const SUB_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
    optional("consumed_inputs", K::Ints),
];
const SUB_6: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];
const SUM_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const SWISH_24: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
];
const TANH_1: &[AttributeFact] = &[
    optional("consumed_inputs", K::Ints),
];
const TENSORSCATTER_24: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-2)),
    optional("mode", K::String).or(String("linear")),
];
const TFIDFVECTORIZER_9: &[AttributeFact] = &[
    required("max_gram_length", K::Int),
    required("max_skip_count", K::Int),
    required("min_gram_length", K::Int),
    required("mode", K::String),
    required("ngram_counts", K::Ints),
    required("ngram_indexes", K::Ints),
    optional("pool_int64s", K::Ints),
    optional("pool_strings", K::Strings),
    optional("weights", K::Floats),
];
const THRESHOLDEDRELU_10: &[AttributeFact] = &[
    optional("alpha", K::Float).or(Float(1.0)),
];
const TOPK_1: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
    required("k", K::Int),
];
const TOPK_10: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
];
const TOPK_11: &[AttributeFact] = &[
    optional("axis", K::Int).or(Int(-1)),
    optional("largest", K::Int).or(Int(1)),
    optional("sorted", K::Int).or(Int(1)),
];
const TRANSPOSE_1: &[AttributeFact] = &[
    optional("perm", K::Ints),
];
const TRILU_14: &[AttributeFact] = &[
    optional("upper", K::Int).or(Int(1)),
];
const UNIQUE_11: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("sorted", K::Int).or(Int(1)),
];
const UNSQUEEZE_1: &[AttributeFact] = &[
    required("axes", K::Ints),
];
const UPSAMPLE_1: &[AttributeFact] = &[
    required("height_scale", K::Float),
    optional("mode", K::String).or(String("nearest")),
    required("width_scale", K::Float),
];
const UPSAMPLE_7: &[AttributeFact] = &[
    optional("mode", K::String).or(String("nearest")),
    required("scales", K::Floats),
];
const UPSAMPLE_9: &[AttributeFact] = &[
    optional("mode", K::String).or(String("nearest")),
];
const XOR_1: &[AttributeFact] = &[
    optional("axis", K::Int),
    optional("broadcast", K::Int).or(Int(0)),
];

/// Sorted by name, versions by number.
pub(super) const OPERATORS: &[Operator] = &[
    op("Abs", &[
        from(1, (1, 1), (1, 1), ABS_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Acos", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Acosh", &[
        from(9, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Add", &[
        from(1, (2, 2), (1, 1), ADD_1),
        from(6, (2, 2), (1, 1), ADD_6),
        from(7, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(14, (2, 2), (1, 1), &[]),
    ]),
    op("AffineGrid", &[
        from(20, (2, 2), (1, 1), AFFINEGRID_20),
    ]),
    op("And", &[
        from(1, (2, 2), (1, 1), AND_1),
        from(7, (2, 2), (1, 1), &[]),
    ]),
    op("ArgMax", &[
        from(1, (1, 1), (1, 1), ARGMAX_1),
        from(11, (1, 1), (1, 1), ARGMAX_1),
        from(12, (1, 1), (1, 1), ARGMAX_12),
        from(13, (1, 1), (1, 1), ARGMAX_12),
    ]),
    op("ArgMin", &[
        from(1, (1, 1), (1, 1), ARGMIN_1),
        from(11, (1, 1), (1, 1), ARGMIN_1),
        from(12, (1, 1), (1, 1), ARGMIN_12),
        from(13, (1, 1), (1, 1), ARGMIN_12),
    ]),
    op("Asin", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Asinh", &[
        from(9, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Atan", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Atanh", &[
        from(9, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Attention", &[
        from(23, (3, 6), (1, 4), ATTENTION_23),
        from(24, (3, 7), (1, 4), ATTENTION_23),
    ]),
    op("AveragePool", &[
        from(1, (1, 1), (1, 1), AVERAGEPOOL_1),
        from(7, (1, 1), (1, 1), AVERAGEPOOL_7),
        from(10, (1, 1), (1, 1), AVERAGEPOOL_10),
        from(11, (1, 1), (1, 1), AVERAGEPOOL_10),
        from(19, (1, 1), (1, 1), AVERAGEPOOL_19),
        from(22, (1, 1), (1, 1), AVERAGEPOOL_19),
    ]),
    op("BatchNormalization", &[
        from(1, (5, 5), (1, 5), BATCHNORMALIZATION_1),
        from(6, (5, 5), (1, 5), BATCHNORMALIZATION_6),
        from(7, (5, 5), (1, 5), BATCHNORMALIZATION_7),
        from(9, (5, 5), (1, 5), BATCHNORMALIZATION_9),
        from(14, (5, 5), (1, 3), BATCHNORMALIZATION_14),
        from(15, (5, 5), (1, 3), BATCHNORMALIZATION_14),
    ]),
    op("Bernoulli", &[
        from(15, (1, 1), (1, 1), BERNOULLI_15),
        from(22, (1, 1), (1, 1), BERNOULLI_15),
    ]),
    op("BitCast", &[
        from(26, (1, 1), (1, 1), BITCAST_26),
    ]),
    op("BitShift", &[
        from(11, (2, 2), (1, 1), BITSHIFT_11),
    ]),
    op("BitwiseAnd", &[
        from(18, (2, 2), (1, 1), &[]),
    ]),
    op("BitwiseNot", &[
        from(18, (1, 1), (1, 1), &[]),
    ]),
    op("BitwiseOr", &[
        from(18, (2, 2), (1, 1), &[]),
    ]),
    op("BitwiseXor", &[
        from(18, (2, 2), (1, 1), &[]),
    ]),
    op("BlackmanWindow", &[
        from(17, (1, 1), (1, 1), BLACKMANWINDOW_17),
    ]),
    op("Cast", &[
        from(1, (1, 1), (1, 1), CAST_1),
        from(6, (1, 1), (1, 1), CAST_6),
        from(9, (1, 1), (1, 1), CAST_6),
        from(13, (1, 1), (1, 1), CAST_6),
        from(19, (1, 1), (1, 1), CAST_19),
        from(21, (1, 1), (1, 1), CAST_19),
        from(23, (1, 1), (1, 1), CAST_19),
        from(24, (1, 1), (1, 1), CAST_24),
        from(25, (1, 1), (1, 1), CAST_24),
    ]),
    op("CastLike", &[
        from(15, (2, 2), (1, 1), &[]),
        from(19, (2, 2), (1, 1), CASTLIKE_19),
        from(21, (2, 2), (1, 1), CASTLIKE_19),
        from(23, (2, 2), (1, 1), CASTLIKE_19),
        from(24, (2, 2), (1, 1), CASTLIKE_24),
        from(25, (2, 2), (1, 1), CASTLIKE_24),
    ]),
    op("CausalConvWithState", &[
        from(27, (2, 4), (2, 2), CAUSALCONVWITHSTATE_27),
    ]),
    op("Ceil", &[
        from(1, (1, 1), (1, 1), CEIL_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Celu", &[
        from(12, (1, 1), (1, 1), CELU_12),
    ]),
    op("CenterCropPad", &[
        from(18, (2, 2), (1, 1), CENTERCROPPAD_18),
    ]),
    op("Clip", &[
        from(1, (1, 1), (1, 1), CLIP_1),
        from(6, (1, 1), (1, 1), CLIP_6),
        from(11, (1, 3), (1, 1), &[]),
        from(12, (1, 3), (1, 1), &[]),
        from(13, (1, 3), (1, 1), &[]),
    ]),
    op("Col2Im", &[
        from(18, (3, 3), (1, 1), COL2IM_18),
    ]),
    op("Compress", &[
        from(9, (2, 2), (1, 1), COMPRESS_9),
        from(11, (2, 2), (1, 1), COMPRESS_9),
    ]),
    op("Concat", &[
        from(1, (1, MANY), (1, 1), CONCAT_1),
        from(4, (1, MANY), (1, 1), CONCAT_4),
        from(11, (1, MANY), (1, 1), CONCAT_4),
        from(13, (1, MANY), (1, 1), CONCAT_4),
    ]),
    op("ConcatFromSequence", &[
        from(11, (1, 1), (1, 1), CONCATFROMSEQUENCE_11),
    ]),
    op("Constant", &[
        from(1, (0, 0), (1, 1), CONSTANT_1),
        from(9, (0, 0), (1, 1), CONSTANT_1),
        from(11, (0, 0), (1, 1), CONSTANT_11),
        from(12, (0, 0), (1, 1), CONSTANT_12),
        from(13, (0, 0), (1, 1), CONSTANT_12),
        from(19, (0, 0), (1, 1), CONSTANT_12),
        from(21, (0, 0), (1, 1), CONSTANT_12),
        from(23, (0, 0), (1, 1), CONSTANT_12),
        from(24, (0, 0), (1, 1), CONSTANT_12),
        from(25, (0, 0), (1, 1), CONSTANT_12),
    ]),
    op("ConstantOfShape", &[
        from(9, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
        from(20, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
        from(21, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
        from(23, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
        from(24, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
        from(25, (1, 1), (1, 1), CONSTANTOFSHAPE_9),
    ]),
    op("Conv", &[
        from(1, (2, 3), (1, 1), CONV_1),
        from(11, (2, 3), (1, 1), CONV_1),
        from(22, (2, 3), (1, 1), CONV_1),
    ]),
    op("ConvInteger", &[
        from(10, (2, 4), (1, 1), CONVINTEGER_10),
    ]),
    op("ConvTranspose", &[
        from(1, (2, 3), (1, 1), CONVTRANSPOSE_1),
        from(11, (2, 3), (1, 1), CONVTRANSPOSE_1),
        from(22, (2, 3), (1, 1), CONVTRANSPOSE_1),
    ]),
    op("Cos", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Cosh", &[
        from(9, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("CumProd", &[
        from(26, (2, 2), (1, 1), CUMPROD_26),
    ]),
    op("CumSum", &[
        from(11, (2, 2), (1, 1), CUMSUM_11),
        from(14, (2, 2), (1, 1), CUMSUM_11),
    ]),
    op("DFT", &[
        from(17, (1, 2), (1, 1), DFT_17),
        from(20, (1, 3), (1, 1), DFT_20),
    ]),
    op("DeformConv", &[
        from(19, (3, 5), (1, 1), DEFORMCONV_19),
        from(22, (3, 5), (1, 1), DEFORMCONV_19),
    ]),
    op("DepthToSpace", &[
        from(1, (1, 1), (1, 1), DEPTHTOSPACE_1),
        from(11, (1, 1), (1, 1), DEPTHTOSPACE_11),
        from(13, (1, 1), (1, 1), DEPTHTOSPACE_11),
    ]),
    op("DequantizeLinear", &[
        from(10, (2, 3), (1, 1), &[]),
        from(13, (2, 3), (1, 1), DEQUANTIZELINEAR_13),
        from(19, (2, 3), (1, 1), DEQUANTIZELINEAR_13),
        from(21, (2, 3), (1, 1), DEQUANTIZELINEAR_21),
        from(23, (2, 3), (1, 1), DEQUANTIZELINEAR_23),
        from(24, (2, 3), (1, 1), DEQUANTIZELINEAR_23),
        from(25, (2, 3), (1, 1), DEQUANTIZELINEAR_23),
    ]),
    op("Det", &[
        from(11, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Div", &[
        from(1, (2, 2), (1, 1), DIV_1),
        from(6, (2, 2), (1, 1), DIV_6),
        from(7, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(14, (2, 2), (1, 1), &[]),
    ]),
    op("Dropout", &[
        from(1, (1, 1), (1, 2), DROPOUT_1),
        from(6, (1, 1), (1, 2), DROPOUT_6),
        from(7, (1, 1), (1, 2), DROPOUT_7),
        from(10, (1, 1), (1, 2), DROPOUT_7),
        from(12, (1, 3), (1, 2), DROPOUT_12),
        from(13, (1, 3), (1, 2), DROPOUT_12),
        from(22, (1, 3), (1, 2), DROPOUT_12),
    ]),
    op("DynamicQuantizeLinear", &[
        from(11, (1, 1), (3, 3), &[]),
    ]),
    op("Einsum", &[
        from(12, (1, MANY), (1, 1), EINSUM_12),
    ]),
    op("Elu", &[
        from(1, (1, 1), (1, 1), ELU_1),
        from(6, (1, 1), (1, 1), ELU_6),
        from(22, (1, 1), (1, 1), ELU_6),
    ]),
    op("Equal", &[
        from(1, (2, 2), (1, 1), EQUAL_1),
        from(7, (2, 2), (1, 1), &[]),
        from(11, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(19, (2, 2), (1, 1), &[]),
    ]),
    op("Erf", &[
        from(9, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Exp", &[
        from(1, (1, 1), (1, 1), EXP_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Expand", &[
        from(8, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
    ]),
    op("EyeLike", &[
        from(9, (1, 1), (1, 1), EYELIKE_9),
        from(22, (1, 1), (1, 1), EYELIKE_9),
    ]),
    op("Flatten", &[
        from(1, (1, 1), (1, 1), FLATTEN_1),
        from(9, (1, 1), (1, 1), FLATTEN_1),
        from(11, (1, 1), (1, 1), FLATTEN_1),
        from(13, (1, 1), (1, 1), FLATTEN_1),
        from(21, (1, 1), (1, 1), FLATTEN_1),
        from(23, (1, 1), (1, 1), FLATTEN_1),
        from(24, (1, 1), (1, 1), FLATTEN_1),
        from(25, (1, 1), (1, 1), FLATTEN_1),
    ]),
    op("Floor", &[
        from(1, (1, 1), (1, 1), FLOOR_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("GRU", &[
        from(1, (3, 6), (2, 2), GRU_1),
        from(3, (3, 6), (0, 2), GRU_3),
        from(7, (3, 6), (0, 2), GRU_7),
        from(14, (3, 6), (0, 2), GRU_14),
        from(22, (3, 6), (0, 2), GRU_14),
    ]),
    op("Gather", &[
        from(1, (2, 2), (1, 1), GATHER_1),
        from(11, (2, 2), (1, 1), GATHER_1),
        from(13, (2, 2), (1, 1), GATHER_1),
    ]),
    op("GatherElements", &[
        from(11, (2, 2), (1, 1), GATHERELEMENTS_11),
        from(13, (2, 2), (1, 1), GATHERELEMENTS_11),
    ]),
    op("GatherND", &[
        from(11, (2, 2), (1, 1), &[]),
        from(12, (2, 2), (1, 1), GATHERND_12),
        from(13, (2, 2), (1, 1), GATHERND_12),
    ]),
    op("Gelu", &[
        from(20, (1, 1), (1, 1), GELU_20),
    ]),
    op("Gemm", &[
        from(1, (3, 3), (1, 1), GEMM_1),
        from(6, (3, 3), (1, 1), GEMM_1),
        from(7, (3, 3), (1, 1), GEMM_7),
        from(9, (3, 3), (1, 1), GEMM_7),
        from(11, (2, 3), (1, 1), GEMM_7),
        from(13, (2, 3), (1, 1), GEMM_7),
    ]),
    op("GlobalAveragePool", &[
        from(1, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("GlobalLpPool", &[
        from(1, (1, 1), (1, 1), GLOBALLPPOOL_1),
        from(2, (1, 1), (1, 1), GLOBALLPPOOL_2),
        from(22, (1, 1), (1, 1), GLOBALLPPOOL_2),
    ]),
    op("GlobalMaxPool", &[
        from(1, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Greater", &[
        from(1, (2, 2), (1, 1), GREATER_1),
        from(7, (2, 2), (1, 1), &[]),
        from(9, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
    ]),
    op("GreaterOrEqual", &[
        from(12, (2, 2), (1, 1), &[]),
        from(16, (2, 2), (1, 1), &[]),
    ]),
    op("GridSample", &[
        from(16, (2, 2), (1, 1), GRIDSAMPLE_16),
        from(20, (2, 2), (1, 1), GRIDSAMPLE_20),
        from(22, (2, 2), (1, 1), GRIDSAMPLE_20),
    ]),
    op("GroupNormalization", &[
        from(18, (3, 3), (1, 1), GROUPNORMALIZATION_18).deprecated(),
        from(21, (3, 3), (1, 1), GROUPNORMALIZATION_21),
    ]),
    op("HammingWindow", &[
        from(17, (1, 1), (1, 1), HAMMINGWINDOW_17),
    ]),
    op("HannWindow", &[
        from(17, (1, 1), (1, 1), HANNWINDOW_17),
    ]),
    op("HardSigmoid", &[
        from(1, (1, 1), (1, 1), HARDSIGMOID_1),
        from(6, (1, 1), (1, 1), HARDSIGMOID_6),
        from(22, (1, 1), (1, 1), HARDSIGMOID_6),
    ]),
    op("HardSwish", &[
        from(14, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Hardmax", &[
        from(1, (1, 1), (1, 1), HARDMAX_1),
        from(11, (1, 1), (1, 1), HARDMAX_1),
        from(13, (1, 1), (1, 1), HARDMAX_13),
    ]),
    op("Identity", &[
        from(1, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
        from(14, (1, 1), (1, 1), &[]),
        from(16, (1, 1), (1, 1), &[]),
        from(19, (1, 1), (1, 1), &[]),
        from(21, (1, 1), (1, 1), &[]),
        from(23, (1, 1), (1, 1), &[]),
        from(24, (1, 1), (1, 1), &[]),
        from(25, (1, 1), (1, 1), &[]),
    ]),
    op("If", &[
        from(1, (1, 1), (1, MANY), IF_1),
        from(11, (1, 1), (1, MANY), IF_1),
        from(13, (1, 1), (1, MANY), IF_1),
        from(16, (1, 1), (1, MANY), IF_1),
        from(19, (1, 1), (1, MANY), IF_1),
        from(21, (1, 1), (1, MANY), IF_1),
        from(23, (1, 1), (1, MANY), IF_1),
        from(24, (1, 1), (1, MANY), IF_1),
        from(25, (1, 1), (1, MANY), IF_1),
    ]),
    op("ImageDecoder", &[
        from(20, (1, 1), (1, 1), IMAGEDECODER_20),
    ]),
    op("InstanceNormalization", &[
        from(1, (3, 3), (1, 1), INSTANCENORMALIZATION_1),
        from(6, (3, 3), (1, 1), INSTANCENORMALIZATION_6),
        from(22, (3, 3), (1, 1), INSTANCENORMALIZATION_6),
    ]),
    op("IsInf", &[
        from(10, (1, 1), (1, 1), ISINF_10),
        from(20, (1, 1), (1, 1), ISINF_10),
    ]),
    op("IsNaN", &[
        from(9, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
        from(20, (1, 1), (1, 1), &[]),
    ]),
    op("LRN", &[
        from(1, (1, 1), (1, 1), LRN_1),
        from(13, (1, 1), (1, 1), LRN_1),
    ]),
    op("LSTM", &[
        from(1, (3, 8), (0, 3), LSTM_1),
        from(7, (3, 8), (0, 3), LSTM_7),
        from(14, (3, 8), (0, 3), LSTM_14),
        from(22, (3, 8), (0, 3), LSTM_14),
    ]),
    op("LayerNormalization", &[
        from(17, (2, 3), (1, 3), LAYERNORMALIZATION_17),
    ]),
    op("LeakyRelu", &[
        from(1, (1, 1), (1, 1), LEAKYRELU_1),
        from(6, (1, 1), (1, 1), LEAKYRELU_6),
        from(16, (1, 1), (1, 1), LEAKYRELU_6),
    ]),
    op("Less", &[
        from(1, (2, 2), (1, 1), LESS_1),
        from(7, (2, 2), (1, 1), &[]),
        from(9, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
    ]),
    op("LessOrEqual", &[
        from(12, (2, 2), (1, 1), &[]),
        from(16, (2, 2), (1, 1), &[]),
    ]),
    op("LinearAttention", &[
        from(27, (3, 6), (2, 2), LINEARATTENTION_27),
    ]),
    op("Log", &[
        from(1, (1, 1), (1, 1), LOG_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("LogSoftmax", &[
        from(1, (1, 1), (1, 1), LOGSOFTMAX_1),
        from(11, (1, 1), (1, 1), LOGSOFTMAX_1),
        from(13, (1, 1), (1, 1), LOGSOFTMAX_13),
    ]),
    op("Loop", &[
        from(1, (3, MANY), (1, MANY), LOOP_1).omitting(2),
        from(11, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(13, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(16, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(19, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(21, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(23, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(24, (2, MANY), (1, MANY), LOOP_1).omitting(2),
        from(25, (2, MANY), (1, MANY), LOOP_1).omitting(2),
    ]),
    op("LpNormalization", &[
        from(1, (1, 1), (1, 1), LPNORMALIZATION_1),
        from(22, (1, 1), (1, 1), LPNORMALIZATION_1),
    ]),
    op("LpPool", &[
        from(1, (1, 1), (1, 1), LPPOOL_1),
        from(2, (1, 1), (1, 1), LPPOOL_2),
        from(11, (1, 1), (1, 1), LPPOOL_2),
        from(18, (1, 1), (1, 1), LPPOOL_18),
        from(22, (1, 1), (1, 1), LPPOOL_18),
    ]),
    op("MatMul", &[
        from(1, (2, 2), (1, 1), &[]),
        from(9, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
    ]),
    op("MatMulInteger", &[
        from(10, (2, 4), (1, 1), &[]),
    ]),
    op("Max", &[
        from(1, (1, MANY), (1, 1), MAX_1),
        from(6, (1, MANY), (1, 1), &[]),
        from(8, (1, MANY), (1, 1), &[]),
        from(12, (1, MANY), (1, 1), &[]),
        from(13, (1, MANY), (1, 1), &[]),
    ]),
    op("MaxPool", &[
        from(1, (1, 1), (1, 1), MAXPOOL_1),
        from(8, (1, 1), (1, 2), MAXPOOL_8),
        from(10, (1, 1), (1, 2), MAXPOOL_10),
        from(11, (1, 1), (1, 2), MAXPOOL_10),
        from(12, (1, 1), (1, 2), MAXPOOL_10),
        from(22, (1, 1), (1, 2), MAXPOOL_10),
    ]),
    op("MaxRoiPool", &[
        from(1, (2, 2), (1, 1), MAXROIPOOL_1),
        from(22, (2, 2), (1, 1), MAXROIPOOL_1),
    ]),
    op("MaxUnpool", &[
        from(9, (2, 3), (1, 1), MAXUNPOOL_9),
        from(11, (2, 3), (1, 1), MAXUNPOOL_9),
        from(22, (2, 3), (1, 1), MAXUNPOOL_9),
    ]),
    op("Mean", &[
        from(1, (1, MANY), (1, 1), MEAN_1),
        from(6, (1, MANY), (1, 1), &[]),
        from(8, (1, MANY), (1, 1), &[]),
        from(13, (1, MANY), (1, 1), &[]),
    ]),
    op("MeanVarianceNormalization", &[
        from(9, (1, 1), (1, 1), MEANVARIANCENORMALIZATION_9),
        from(13, (1, 1), (1, 1), MEANVARIANCENORMALIZATION_9),
    ]),
    op("MelWeightMatrix", &[
        from(17, (5, 5), (1, 1), MELWEIGHTMATRIX_17),
    ]),
    op("Min", &[
        from(1, (1, MANY), (1, 1), MIN_1),
        from(6, (1, MANY), (1, 1), &[]),
        from(8, (1, MANY), (1, 1), &[]),
        from(12, (1, MANY), (1, 1), &[]),
        from(13, (1, MANY), (1, 1), &[]),
    ]),
    op("Mish", &[
        from(18, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Mod", &[
        from(10, (2, 2), (1, 1), MOD_10),
        from(13, (2, 2), (1, 1), MOD_10),
    ]),
    op("Mul", &[
        from(1, (2, 2), (1, 1), MUL_1),
        from(6, (2, 2), (1, 1), MUL_6),
        from(7, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(14, (2, 2), (1, 1), &[]),
    ]),
    op("Multinomial", &[
        from(7, (1, 1), (1, 1), MULTINOMIAL_7),
        from(22, (1, 1), (1, 1), MULTINOMIAL_7),
    ]),
    op("Neg", &[
        from(1, (1, 1), (1, 1), NEG_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("NegativeLogLikelihoodLoss", &[
        from(12, (2, 3), (1, 1), NEGATIVELOGLIKELIHOODLOSS_12),
        from(13, (2, 3), (1, 1), NEGATIVELOGLIKELIHOODLOSS_12),
        from(22, (2, 3), (1, 1), NEGATIVELOGLIKELIHOODLOSS_12),
    ]),
    op("NonMaxSuppression", &[
        from(10, (2, 5), (1, 1), NONMAXSUPPRESSION_10),
        from(11, (2, 5), (1, 1), NONMAXSUPPRESSION_10),
    ]),
    op("NonZero", &[
        from(9, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Not", &[
        from(1, (1, 1), (1, 1), &[]),
    ]),
    op("OneHot", &[
        from(9, (3, 3), (1, 1), ONEHOT_9),
        from(11, (3, 3), (1, 1), ONEHOT_9),
    ]),
    op("Optional", &[
        from(15, (0, 1), (1, 1), OPTIONAL_15),
    ]),
    op("OptionalGetElement", &[
        from(15, (1, 1), (1, 1), &[]),
        from(18, (1, 1), (1, 1), &[]),
    ]),
    op("OptionalHasElement", &[
        from(15, (1, 1), (1, 1), &[]),
        from(18, (0, 1), (1, 1), &[]),
    ]),
    op("Or", &[
        from(1, (2, 2), (1, 1), OR_1),
        from(7, (2, 2), (1, 1), &[]),
    ]),
    op("PRelu", &[
        from(1, (2, 2), (1, 1), PRELU_1),
        from(6, (2, 2), (1, 1), &[]),
        from(7, (2, 2), (1, 1), &[]),
        from(9, (2, 2), (1, 1), &[]),
        from(16, (2, 2), (1, 1), &[]),
    ]),
    op("Pad", &[
        from(1, (1, 1), (1, 1), PAD_1),
        from(2, (1, 1), (1, 1), PAD_2),
        from(11, (2, 3), (1, 1), PAD_11),
        from(13, (2, 3), (1, 1), PAD_11),
        from(18, (2, 4), (1, 1), PAD_11),
        from(19, (2, 4), (1, 1), PAD_11),
        from(21, (2, 4), (1, 1), PAD_11),
        from(23, (2, 4), (1, 1), PAD_11),
        from(24, (2, 4), (1, 1), PAD_11),
        from(25, (2, 4), (1, 1), PAD_11),
    ]),
    op("Pow", &[
        from(1, (2, 2), (1, 1), POW_1),
        from(7, (2, 2), (1, 1), &[]),
        from(12, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(15, (2, 2), (1, 1), &[]),
    ]),
    op("QLinearConv", &[
        from(10, (8, 9), (1, 1), QLINEARCONV_10),
    ]),
    op("QLinearMatMul", &[
        from(10, (8, 8), (1, 1), &[]),
        from(21, (8, 8), (1, 1), &[]),
    ]),
    op("QuantizeLinear", &[
        from(10, (2, 3), (1, 1), &[]),
        from(13, (2, 3), (1, 1), QUANTIZELINEAR_13),
        from(19, (2, 3), (1, 1), QUANTIZELINEAR_19),
        from(21, (2, 3), (1, 1), QUANTIZELINEAR_21),
        from(23, (2, 3), (1, 1), QUANTIZELINEAR_23),
        from(24, (2, 3), (1, 1), QUANTIZELINEAR_23),
        from(25, (2, 3), (1, 1), QUANTIZELINEAR_23),
    ]),
    op("RMSNormalization", &[
        from(23, (2, 2), (1, 1), RMSNORMALIZATION_23),
    ]),
    op("RNN", &[
        from(1, (3, 6), (0, 2), RNN_1),
        from(7, (3, 6), (0, 2), RNN_7),
        from(14, (3, 6), (0, 2), RNN_14),
        from(22, (3, 6), (0, 2), RNN_14),
    ]),
    op("RandomNormal", &[
        from(1, (0, 0), (1, 1), RANDOMNORMAL_1),
        from(22, (0, 0), (1, 1), RANDOMNORMAL_1),
    ]),
    op("RandomNormalLike", &[
        from(1, (1, 1), (1, 1), RANDOMNORMALLIKE_1),
        from(22, (1, 1), (1, 1), RANDOMNORMALLIKE_1),
    ]),
    op("RandomUniform", &[
        from(1, (0, 0), (1, 1), RANDOMUNIFORM_1),
        from(22, (0, 0), (1, 1), RANDOMUNIFORM_1),
    ]),
    op("RandomUniformLike", &[
        from(1, (1, 1), (1, 1), RANDOMUNIFORMLIKE_1),
        from(22, (1, 1), (1, 1), RANDOMUNIFORMLIKE_1),
    ]),
    op("Range", &[
        from(11, (3, 3), (1, 1), &[]),
        from(27, (3, 3), (1, 1), RANGE_27),
    ]),
    op("Reciprocal", &[
        from(1, (1, 1), (1, 1), RECIPROCAL_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("ReduceL1", &[
        from(1, (1, 1), (1, 1), REDUCEL1_1),
        from(11, (1, 1), (1, 1), REDUCEL1_1),
        from(13, (1, 1), (1, 1), REDUCEL1_1),
        from(18, (1, 2), (1, 1), REDUCEL1_18),
    ]),
    op("ReduceL2", &[
        from(1, (1, 1), (1, 1), REDUCEL2_1),
        from(11, (1, 1), (1, 1), REDUCEL2_1),
        from(13, (1, 1), (1, 1), REDUCEL2_1),
        from(18, (1, 2), (1, 1), REDUCEL2_18),
    ]),
    op("ReduceLogSum", &[
        from(1, (1, 1), (1, 1), REDUCELOGSUM_1),
        from(11, (1, 1), (1, 1), REDUCELOGSUM_1),
        from(13, (1, 1), (1, 1), REDUCELOGSUM_1),
        from(18, (1, 2), (1, 1), REDUCELOGSUM_18),
    ]),
    op("ReduceLogSumExp", &[
        from(1, (1, 1), (1, 1), REDUCELOGSUMEXP_1),
        from(11, (1, 1), (1, 1), REDUCELOGSUMEXP_1),
        from(13, (1, 1), (1, 1), REDUCELOGSUMEXP_1),
        from(18, (1, 2), (1, 1), REDUCELOGSUMEXP_18),
    ]),
    op("ReduceMax", &[
        from(1, (1, 1), (1, 1), REDUCEMAX_1),
        from(11, (1, 1), (1, 1), REDUCEMAX_1),
        from(12, (1, 1), (1, 1), REDUCEMAX_1),
        from(13, (1, 1), (1, 1), REDUCEMAX_1),
        from(18, (1, 2), (1, 1), REDUCEMAX_18),
        from(20, (1, 2), (1, 1), REDUCEMAX_18),
    ]),
    op("ReduceMean", &[
        from(1, (1, 1), (1, 1), REDUCEMEAN_1),
        from(11, (1, 1), (1, 1), REDUCEMEAN_1),
        from(13, (1, 1), (1, 1), REDUCEMEAN_1),
        from(18, (1, 2), (1, 1), REDUCEMEAN_18),
    ]),
    op("ReduceMin", &[
        from(1, (1, 1), (1, 1), REDUCEMIN_1),
        from(11, (1, 1), (1, 1), REDUCEMIN_1),
        from(12, (1, 1), (1, 1), REDUCEMIN_1),
        from(13, (1, 1), (1, 1), REDUCEMIN_1),
        from(18, (1, 2), (1, 1), REDUCEMIN_18),
        from(20, (1, 2), (1, 1), REDUCEMIN_18),
    ]),
    op("ReduceProd", &[
        from(1, (1, 1), (1, 1), REDUCEPROD_1),
        from(11, (1, 1), (1, 1), REDUCEPROD_1),
        from(13, (1, 1), (1, 1), REDUCEPROD_1),
        from(18, (1, 2), (1, 1), REDUCEPROD_18),
    ]),
    op("ReduceSum", &[
        from(1, (1, 1), (1, 1), REDUCESUM_1),
        from(11, (1, 1), (1, 1), REDUCESUM_1),
        from(13, (1, 2), (1, 1), REDUCESUM_13),
    ]),
    op("ReduceSumSquare", &[
        from(1, (1, 1), (1, 1), REDUCESUMSQUARE_1),
        from(11, (1, 1), (1, 1), REDUCESUMSQUARE_1),
        from(13, (1, 1), (1, 1), REDUCESUMSQUARE_1),
        from(18, (1, 2), (1, 1), REDUCESUMSQUARE_18),
    ]),
    op("RegexFullMatch", &[
        from(20, (1, 1), (1, 1), REGEXFULLMATCH_20),
    ]),
    op("Relu", &[
        from(1, (1, 1), (1, 1), RELU_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
        from(14, (1, 1), (1, 1), &[]),
    ]),
    op("Reshape", &[
        from(1, (1, 1), (1, 1), RESHAPE_1),
        from(5, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(14, (2, 2), (1, 1), RESHAPE_14),
        from(19, (2, 2), (1, 1), RESHAPE_14),
        from(21, (2, 2), (1, 1), RESHAPE_14),
        from(23, (2, 2), (1, 1), RESHAPE_14),
        from(24, (2, 2), (1, 1), RESHAPE_14),
        from(25, (2, 2), (1, 1), RESHAPE_14),
    ]),
    op("Resize", &[
        from(10, (2, 2), (1, 1), RESIZE_10),
        from(11, (3, 4), (1, 1), RESIZE_11),
        from(13, (1, 4), (1, 1), RESIZE_11),
        from(18, (1, 4), (1, 1), RESIZE_18),
        from(19, (1, 4), (1, 1), RESIZE_18),
    ]),
    op("ReverseSequence", &[
        from(10, (2, 2), (1, 1), REVERSESEQUENCE_10),
    ]),
    op("RoiAlign", &[
        from(10, (3, 3), (1, 1), ROIALIGN_10),
        from(16, (3, 3), (1, 1), ROIALIGN_16),
        from(22, (3, 3), (1, 1), ROIALIGN_16),
    ]),
    op("RotaryEmbedding", &[
        from(23, (3, 4), (1, 1), ROTARYEMBEDDING_23),
    ]),
    op("Round", &[
        from(11, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("STFT", &[
        from(17, (2, 4), (1, 1), STFT_17),
    ]),
    op("Scan", &[
        from(8, (2, MANY), (1, MANY), SCAN_8).omitting(1),
        from(9, (1, MANY), (1, MANY), SCAN_9),
        from(11, (1, MANY), (1, MANY), SCAN_9),
        from(16, (1, MANY), (1, MANY), SCAN_9),
        from(19, (1, MANY), (1, MANY), SCAN_9),
        from(21, (1, MANY), (1, MANY), SCAN_9),
        from(23, (1, MANY), (1, MANY), SCAN_9),
        from(24, (1, MANY), (1, MANY), SCAN_9),
        from(25, (1, MANY), (1, MANY), SCAN_9),
    ]),
    op("Scatter", &[
        from(9, (3, 3), (1, 1), SCATTER_9),
        from(11, (3, 3), (1, 1), SCATTER_9).deprecated(),
    ]),
    op("ScatterElements", &[
        from(11, (3, 3), (1, 1), SCATTERELEMENTS_11),
        from(13, (3, 3), (1, 1), SCATTERELEMENTS_11),
        from(16, (3, 3), (1, 1), SCATTERELEMENTS_16),
        from(18, (3, 3), (1, 1), SCATTERELEMENTS_16),
    ]),
    op("ScatterND", &[
        from(11, (3, 3), (1, 1), &[]),
        from(13, (3, 3), (1, 1), &[]),
        from(16, (3, 3), (1, 1), SCATTERND_16),
        from(18, (3, 3), (1, 1), SCATTERND_16),
    ]),
    op("Selu", &[
        from(1, (1, 1), (1, 1), SELU_1),
        from(6, (1, 1), (1, 1), SELU_6),
        from(22, (1, 1), (1, 1), SELU_6),
    ]),
    op("SequenceAt", &[
        from(11, (2, 2), (1, 1), &[]),
    ]),
    op("SequenceConstruct", &[
        from(11, (1, MANY), (1, 1), &[]),
    ]),
    op("SequenceEmpty", &[
        from(11, (0, 0), (1, 1), SEQUENCEEMPTY_11),
    ]),
    op("SequenceErase", &[
        from(11, (1, 2), (1, 1), &[]),
    ]),
    op("SequenceInsert", &[
        from(11, (2, 3), (1, 1), &[]),
    ]),
    op("SequenceLength", &[
        from(11, (1, 1), (1, 1), &[]),
    ]),
    op("SequenceMap", &[
        from(17, (1, MANY), (1, MANY), SEQUENCEMAP_17),
    ]),
    op("Shape", &[
        from(1, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
        from(15, (1, 1), (1, 1), SHAPE_15),
        from(19, (1, 1), (1, 1), SHAPE_15),
        from(21, (1, 1), (1, 1), SHAPE_15),
        from(23, (1, 1), (1, 1), SHAPE_15),
        from(24, (1, 1), (1, 1), SHAPE_15),
        from(25, (1, 1), (1, 1), SHAPE_15),
    ]),
    op("Shrink", &[
        from(9, (1, 1), (1, 1), SHRINK_9),
    ]),
    op("Sigmoid", &[
        from(1, (1, 1), (1, 1), SIGMOID_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Sign", &[
        from(9, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Sin", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Sinh", &[
        from(9, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Size", &[
        from(1, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
        from(19, (1, 1), (1, 1), &[]),
        from(21, (1, 1), (1, 1), &[]),
        from(23, (1, 1), (1, 1), &[]),
        from(24, (1, 1), (1, 1), &[]),
        from(25, (1, 1), (1, 1), &[]),
    ]),
    op("Slice", &[
        from(1, (1, 1), (1, 1), SLICE_1),
        from(10, (3, 5), (1, 1), &[]),
        from(11, (3, 5), (1, 1), &[]),
        from(13, (3, 5), (1, 1), &[]),
    ]),
    op("Softmax", &[
        from(1, (1, 1), (1, 1), SOFTMAX_1),
        from(11, (1, 1), (1, 1), SOFTMAX_1),
        from(13, (1, 1), (1, 1), SOFTMAX_13),
    ]),
    op("SoftmaxCrossEntropyLoss", &[
        from(12, (2, 3), (1, 2), SOFTMAXCROSSENTROPYLOSS_12),
        from(13, (2, 3), (1, 2), SOFTMAXCROSSENTROPYLOSS_12),
    ]),
    op("Softplus", &[
        from(1, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Softsign", &[
        from(1, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("SpaceToDepth", &[
        from(1, (1, 1), (1, 1), SPACETODEPTH_1),
        from(13, (1, 1), (1, 1), SPACETODEPTH_1),
    ]),
    op("Split", &[
        from(1, (1, 2), (1, MANY), SPLIT_1),
        from(2, (1, 1), (1, MANY), SPLIT_2),
        from(11, (1, 1), (1, MANY), SPLIT_2),
        from(13, (1, 2), (1, MANY), SPLIT_13),
        from(18, (1, 2), (1, MANY), SPLIT_18),
    ]),
    op("SplitToSequence", &[
        from(11, (1, 2), (1, 1), SPLITTOSEQUENCE_11),
        from(24, (1, 2), (1, 1), SPLITTOSEQUENCE_11),
    ]),
    op("Sqrt", &[
        from(1, (1, 1), (1, 1), SQRT_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("Squeeze", &[
        from(1, (1, 1), (1, 1), SQUEEZE_1),
        from(11, (1, 1), (1, 1), SQUEEZE_1),
        from(13, (1, 2), (1, 1), &[]),
        from(21, (1, 2), (1, 1), &[]),
        from(23, (1, 2), (1, 1), &[]),
        from(24, (1, 2), (1, 1), &[]),
        from(25, (1, 2), (1, 1), &[]),
    ]),
    op("StringConcat", &[
        from(20, (2, 2), (1, 1), &[]),
    ]),
    op("StringNormalizer", &[
        from(10, (1, 1), (1, 1), STRINGNORMALIZER_10),
    ]),
    op("StringSplit", &[
        from(20, (1, 1), (2, 2), STRINGSPLIT_20),
    ]),
    op("Sub", &[
        from(1, (2, 2), (1, 1), SUB_1),
        from(6, (2, 2), (1, 1), SUB_6),
        from(7, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
        from(14, (2, 2), (1, 1), &[]),
    ]),
    op("Sum", &[
        from(1, (1, MANY), (1, 1), SUM_1),
        from(6, (1, MANY), (1, 1), &[]),
        from(8, (1, MANY), (1, 1), &[]),
        from(13, (1, MANY), (1, 1), &[]),
    ]),
    op("Swish", &[
        from(24, (1, 1), (1, 1), SWISH_24),
    ]),
    op("Tan", &[
        from(7, (1, 1), (1, 1), &[]),
        from(22, (1, 1), (1, 1), &[]),
    ]),
    op("Tanh", &[
        from(1, (1, 1), (1, 1), TANH_1),
        from(6, (1, 1), (1, 1), &[]),
        from(13, (1, 1), (1, 1), &[]),
    ]),
    op("TensorScatter", &[
        from(24, (2, 3), (1, 1), TENSORSCATTER_24),
    ]),
    op("TfIdfVectorizer", &[
        from(9, (1, 1), (1, 1), TFIDFVECTORIZER_9),
    ]),
    op("ThresholdedRelu", &[
        from(10, (1, 1), (1, 1), THRESHOLDEDRELU_10),
        from(22, (1, 1), (1, 1), THRESHOLDEDRELU_10),
    ]),
    op("Tile", &[
        from(1, (3, 3), (1, 1), &[]),
        from(6, (2, 2), (1, 1), &[]),
        from(13, (2, 2), (1, 1), &[]),
    ]),
    op("TopK", &[
        from(1, (1, 1), (2, 2), TOPK_1),
        from(10, (2, 2), (2, 2), TOPK_10),
        from(11, (2, 2), (2, 2), TOPK_11),
        from(24, (2, 2), (2, 2), TOPK_11),
    ]),
    op("Transpose", &[
        from(1, (1, 1), (1, 1), TRANSPOSE_1),
        from(13, (1, 1), (1, 1), TRANSPOSE_1),
        from(21, (1, 1), (1, 1), TRANSPOSE_1),
        from(23, (1, 1), (1, 1), TRANSPOSE_1),
        from(24, (1, 1), (1, 1), TRANSPOSE_1),
        from(25, (1, 1), (1, 1), TRANSPOSE_1),
    ]),
    op("Trilu", &[
        from(14, (1, 2), (1, 1), TRILU_14),
    ]),
    op("Unique", &[
        from(11, (1, 1), (1, 4), UNIQUE_11),
    ]),
    op("Unsqueeze", &[
        from(1, (1, 1), (1, 1), UNSQUEEZE_1),
        from(11, (1, 1), (1, 1), UNSQUEEZE_1),
        from(13, (2, 2), (1, 1), &[]),
        from(21, (2, 2), (1, 1), &[]),
        from(23, (2, 2), (1, 1), &[]),
        from(24, (2, 2), (1, 1), &[]),
        from(25, (2, 2), (1, 1), &[]),
    ]),
    op("Upsample", &[
        from(1, (1, 1), (1, 1), UPSAMPLE_1),
        from(7, (1, 1), (1, 1), UPSAMPLE_7),
        from(9, (2, 2), (1, 1), UPSAMPLE_9),
        from(10, (2, 2), (1, 1), UPSAMPLE_9).deprecated(),
    ]),
    op("Where", &[
        from(9, (3, 3), (1, 1), &[]),
        from(16, (3, 3), (1, 1), &[]),
    ]),
    op("Xor", &[
        from(1, (2, 2), (1, 1), XOR_1),
        from(7, (2, 2), (1, 1), &[]),
    ]),
];
