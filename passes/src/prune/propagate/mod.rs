//! What each operator does to the channels along an axis.
//!
//! One `match` on the operator; an operator that is not listed stops pruning there. An axis a rule
//! says nothing about has to stay as it is: nothing is guessed through.
mod attention;
mod einsum;
mod elementwise;
mod integers;
mod join;
mod linear;
mod microsoft;
mod normalization;
mod quantize;
mod recurrent;
mod reduce;
mod regroup;
mod repeat;
mod select;
mod site;
mod spatial;

use super::relations::Relations;
use lapidary_ir::{Graph, NodeId};
use site::Site;
pub(crate) use site::{constant, piece, weight_behind};

/// Adds to `relations` what node `id` says.
pub(crate) fn state(graph: &Graph, id: NodeId, relations: &mut Relations) {
    let mut site = Site::new(graph, id, relations);
    let why = rule(&mut site);
    site.close(why);
}

/// States what the node does; returns why whatever it did not mention has to stay.
fn rule(site: &mut Site<'_>) -> &'static str {
    if let Some(why) = integers::rule(site) {
        return why;
    }
    if site.node().domain == "com.microsoft" {
        return microsoft::rule(site);
    }
    if !site.node().is_standard() {
        return "has no rule for channels";
    }
    match site.node().op_type.as_str() {
        "Conv" => linear::conv(site),
        "ConvTranspose" => linear::conv_transpose(site),
        "Gemm" => linear::gemm(site),
        "MatMul" => linear::matmul(site),
        "Attention" => attention::attention(site),
        "RotaryEmbedding" => attention::rotary(site),
        "BatchNormalization" => normalization::batch(site),
        "InstanceNormalization" => normalization::instance(site),
        "GroupNormalization" => normalization::group(site),
        "LayerNormalization" | "RMSNormalization" => normalization::layer(site),
        "LpNormalization" => normalization::lp(site),
        "MeanVarianceNormalization" => normalization::mean_variance(site),
        "Abs" | "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "BitwiseNot" | "Cast"
        | "Ceil" | "Celu" | "Cos" | "Cosh" | "Dropout" | "Elu" | "Erf" | "Exp" | "Floor"
        | "Gelu" | "HardSigmoid" | "HardSwish" | "Identity" | "IsInf" | "IsNaN" | "LeakyRelu"
        | "Log" | "Mish" | "Neg" | "Not" | "Reciprocal" | "Relu" | "Round" | "Selu" | "Shrink"
        | "Sigmoid" | "Sign" | "Sin" | "Sinh" | "Softplus" | "Softsign" | "Sqrt" | "Swish"
        | "Tan" | "Tanh" | "ThresholdedRelu" => elementwise::unary(site),
        "Add" | "And" | "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "Clip" | "Div"
        | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Max" | "Mean"
        | "Min" | "Mod" | "Mul" | "Or" | "PRelu" | "Pow" | "Sub" | "Sum" | "Where" | "Xor" => {
            elementwise::broadcast(site)
        }
        "CastLike" => elementwise::cast_like(site),
        "Constant" => join::constant(site),
        "ConstantOfShape" => join::constant_of_shape(site),
        "Concat" => join::concat(site),
        "Split" => join::split(site),
        "Pad" => join::pad(site),
        "Expand" => repeat::expand(site),
        "Tile" => repeat::tile(site),
        "Slice" => select::slice(site),
        "Gather" => select::gather(site),
        "Shape" => select::shape(site),
        "Transpose" => regroup::transpose(site),
        "Reshape" => regroup::reshape(site),
        "Flatten" => regroup::flatten(site),
        "Squeeze" | "Unsqueeze" => regroup::insert_ones(site),
        "DepthToSpace" => regroup::depth_to_space(site),
        "SpaceToDepth" => regroup::space_to_depth(site),
        "AveragePool" | "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" | "LpPool"
        | "MaxPool" => spatial::pool(site),
        "Resize" | "Upsample" => spatial::resize(site),
        "GridSample" => spatial::grid_sample(site),
        "MaxRoiPool" | "RoiAlign" => spatial::regions(site),
        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
        | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
            reduce::reduce(site)
        }
        "ArgMax" | "ArgMin" => reduce::arg(site),
        "CumSum" | "Hardmax" | "LogSoftmax" | "Softmax" => reduce::along_axis(site),
        "LRN" => reduce::across_channels(site),
        "QuantizeLinear" | "DequantizeLinear" => quantize::linear(site),
        "LSTM" => recurrent::recurrent(site, 4),
        "GRU" => recurrent::recurrent(site, 3),
        "RNN" => recurrent::recurrent(site, 1),
        "Einsum" => einsum::einsum(site),
        "ArrayFeatureExtractor"
        | "Compress"
        | "GatherElements"
        | "GatherND"
        | "NonZero"
        | "OneHot"
        | "ScatterElements"
        | "ScatterND"
        | "TopK"
        | "Unique" => "picks elements by their data",
        "If" | "Loop" | "Scan" => "has a subgraph, which is not followed",
        _ => "has no rule for channels",
    }
}
