//! Shape inference: element types, shapes with symbolic dimensions, and the elements of
//! shape-like tensors.
//!
//! One rule per operator computes the output types from a [`Site`]. A rule that lacks a fact
//! leaves the fact out; no rule fails. How results meet the types a value already has is told in
//! [`propagate`].
//!
//! A symbolic dimension is taken to be one with which the model makes sense: symbolic bounds of a
//! slice lie inside the sliced dimension, and what a reshape leaves over divides exactly.
mod attention;
mod broadcast;
mod control;
mod convolution;
mod einsum;
mod elements;
mod elementwise;
mod gather;
mod generate;
mod matmul;
mod microsoft;
mod normalization;
mod pool;
mod propagate;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod sequence;
mod shape;
mod site;
mod slice;
mod spectral;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use propagate::update_node;

use crate::{Dim, ElemType, Tensor, ValueType};
use site::Site;

/// Integer tensors of at most this many elements are followed element by element.
const MAX_ELEMENTS: usize = 256;

/// The output types of a node, in order; missing ones are unknown.
type Outputs = Option<Vec<ValueType>>;

/// The type of constant data.
#[must_use]
pub(crate) fn tensor_type(tensor: &Tensor) -> ValueType {
    let shape = tensor.dims().iter().map(|&dim| Dim::from(dim)).collect();
    let follow =
        elements::follows(tensor.elem_type()) && tensor.rank() <= 1 && tensor.len() <= MAX_ELEMENTS;
    let elements = if follow { tensor.to_i64() } else { None };
    ValueType {
        elem_type: Some(tensor.elem_type()),
        shape: Some(shape),
        elements: elements.map(|elements| elements.into_iter().map(Dim::from).collect()),
    }
}

/// One output of element type and shape.
fn one(elem_type: Option<ElemType>, shape: Option<Vec<Dim>>) -> Outputs {
    Some(vec![ValueType::tensor(elem_type, shape)])
}

/// The outputs of a node, as far as they follow from its inputs.
fn outputs(site: &Site<'_>) -> Outputs {
    match site.domain() {
        "" | "ai.onnx" => standard(site),
        "com.microsoft" => microsoft::outputs(site),
        _ => None,
    }
}

/// The rules of ONNX's own domain.
fn standard(site: &Site<'_>) -> Outputs {
    match site.op_type() {
        "Abs"
        | "Acos"
        | "Acosh"
        | "Asin"
        | "Asinh"
        | "Atan"
        | "Atanh"
        | "BitwiseNot"
        | "Celu"
        | "Clip"
        | "Cos"
        | "Cosh"
        | "CumProd"
        | "CumSum"
        | "Elu"
        | "Erf"
        | "Exp"
        | "Gelu"
        | "GroupNormalization"
        | "HardSigmoid"
        | "HardSwish"
        | "Hardmax"
        | "InstanceNormalization"
        | "LRN"
        | "LeakyRelu"
        | "Log"
        | "LogSoftmax"
        | "LpNormalization"
        | "MeanVarianceNormalization"
        | "Mish"
        | "RMSNormalization"
        | "Reciprocal"
        | "Relu"
        | "ReverseSequence"
        | "RotaryEmbedding"
        | "ScaledTanh"
        | "Scatter"
        | "ScatterElements"
        | "ScatterND"
        | "Selu"
        | "Shrink"
        | "Sigmoid"
        | "Sin"
        | "Sinh"
        | "Softmax"
        | "Softplus"
        | "Softsign"
        | "Sqrt"
        | "Swish"
        | "Tan"
        | "Tanh"
        | "TensorScatter"
        | "ThresholdedRelu"
        | "Trilu" => elementwise::same(site),
        "Identity" | "Ceil" | "Floor" | "Round" => elementwise::identity(site),
        "Neg" | "Sign" => elementwise::unary(site),
        "Not" | "IsInf" | "IsNaN" => elementwise::predicate(site),
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "PRelu" | "BitShift" | "BitwiseAnd"
        | "BitwiseOr" | "BitwiseXor" => elementwise::binary(site),
        "And" | "Or" | "Xor" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => {
            elementwise::comparison(site)
        }
        "Max" | "Mean" | "Min" | "Sum" => elementwise::variadic(site),
        "Where" => elementwise::choice(site),
        "Cast" => elementwise::cast(site),
        "BitCast" => one(site.elem_type_attribute("to"), site.shape(0).map(<[Dim]>::to_vec)),
        "CastLike" => elementwise::cast_like(site),
        "Dropout" => elementwise::dropout(site),
        "Bernoulli" | "EyeLike" | "RandomNormalLike" | "RandomUniformLike" => generate::like(site),

        "Conv" => convolution::conv(site),
        "ConvInteger" => convolution::conv_integer(site),
        "QLinearConv" => convolution::qlinear_conv(site),
        "ConvTranspose" => convolution::conv_transpose(site),
        "DeformConv" => convolution::conv(site),
        "Col2Im" => convolution::col2im(site),
        "AveragePool" | "LpPool" => pool::average(site),
        "MaxPool" => pool::max(site),
        "MaxUnpool" => pool::unpool(site),
        "GlobalAveragePool" | "GlobalLpPool" | "GlobalMaxPool" => pool::global(site),
        "MaxRoiPool" => pool::max_roi(site),
        "RoiAlign" => pool::roi_align(site),

        "BatchNormalization" => normalization::batch(site),
        "LayerNormalization" | "SimplifiedLayerNormalization" => normalization::layer(site),

        "MatMul" => matmul::matmul(site),
        "MatMulInteger" => matmul::integer(site),
        "QLinearMatMul" => matmul::qlinear(site),
        "Gemm" => matmul::gemm(site),
        "Einsum" => einsum::einsum(site),
        "Det" => matmul::determinant(site),
        "Attention" => attention::attention(site),

        "QuantizeLinear" => quantize::quantize(site),
        "DequantizeLinear" => quantize::dequantize(site),
        "DynamicQuantizeLinear" => quantize::dynamic(site),

        "ReduceL1" | "ReduceL2" | "ReduceLogSum" | "ReduceLogSumExp" | "ReduceMax"
        | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => {
            reduce::reduce(site)
        }
        "ArgMax" | "ArgMin" => reduce::arg(site),
        "TopK" => reduce::top_k(site),

        "LSTM" => recurrent::recurrent(site, 3),
        "GRU" | "RNN" => recurrent::recurrent(site, 2),

        "Shape" => shape::shape(site),
        "Size" => shape::size(site),
        "Reshape" => shape::reshape(site),
        "Flatten" => shape::flatten(site),
        "Transpose" => shape::transpose(site),
        "Squeeze" => shape::squeeze(site),
        "Unsqueeze" => shape::unsqueeze(site),
        "Expand" => shape::expand(site),
        "Tile" => shape::tile(site),
        "DepthToSpace" => shape::depth_to_space(site),
        "SpaceToDepth" => shape::space_to_depth(site),
        "Concat" => slice::concat(site),
        "Split" => slice::split(site),
        "Slice" => slice::slice(site),
        "Pad" => slice::pad(site),
        "CenterCropPad" => slice::center_crop_pad(site),
        "Compress" => slice::compress(site),
        "Gather" => gather::gather(site),
        "GatherElements" => gather::gather_elements(site),
        "GatherND" => gather::gather_nd(site),
        "Unique" => gather::unique(site),
        "NonZero" => gather::non_zero(site),
        "NonMaxSuppression" => gather::non_max_suppression(site),
        "Resize" => resize::resize(site),
        "Upsample" => resize::upsample(site),
        "GridSample" => resize::grid_sample(site),
        "AffineGrid" => resize::affine_grid(site),

        "Constant" => generate::constant(site),
        "ConstantOfShape" => generate::constant_of_shape(site),
        "Range" => generate::range(site),
        "OneHot" => generate::one_hot(site),
        "RandomNormal" | "RandomUniform" => generate::random(site),
        "Multinomial" => generate::multinomial(site),
        "BlackmanWindow" | "HammingWindow" | "HannWindow" => spectral::window(site),
        "MelWeightMatrix" => spectral::mel_weight_matrix(site),
        "DFT" => spectral::dft(site),
        "STFT" => spectral::stft(site),

        "SequenceAt" => sequence::at(site),
        "SequenceLength" => sequence::length(site),
        "ConcatFromSequence" => sequence::concat(site),
        "OptionalHasElement" => one(Some(ElemType::BOOL), Some(Vec::new())),
        "StringConcat" => elementwise::variadic(site),
        "StringNormalizer" => one(Some(ElemType::STRING), None),
        "RegexFullMatch" => elementwise::predicate(site),
        "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => reduce::loss(site),

        "If" => control::branch(site),
        "Loop" => control::repeat(site),
        "Scan" => control::scan(site),
        _ => None,
    }
}
