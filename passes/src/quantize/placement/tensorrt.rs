//! TensorRT.
use super::super::range::Limits;
use super::operators::{clip, conv, conv_transpose, gemm, mat_mul};
use super::{Product, Reason, Support};
use lapidary_ir::{Graph, Node};

/// The fewest rows and columns a product of integers is faster with.
const LEAST: i64 = 16;

/// | integers | operators |
/// | --- | --- |
/// | with constant weights | Conv, ConvTranspose, Gemm, MatMul, if large enough |
/// | the shortcut | Add to what a Conv computes |
/// | operands | Concat, in one scale |
/// | next to the former | MaxPool, AveragePool, GlobalAveragePool |
/// | part of what computes their input | Relu, Clip |
pub(super) fn support(graph: &Graph, node: &Node) -> Result<Support, Reason> {
    match node.op_type.as_str() {
        "Conv" => large_conv(graph, node, conv(graph, node)?),
        "ConvTranspose" => conv_transpose(graph, node),
        "Gemm" => large_product(graph, gemm(graph, node)?),
        "MatMul" => large_product(graph, mat_mul(graph, node)?),
        "Add" | "Concat" => Ok(Support::Arithmetic { fixed: None }),
        "MaxPool" | "AveragePool" | "GlobalAveragePool" => Ok(Support::Pool),
        "Relu" => Ok(Support::Limits(Limits::RELU)),
        "Clip" => clip(graph, node),
        other => Err(format!("TensorRT places {other} by itself").into()),
    }
}

/// Few channels are worth it in multiples of 8 and square kernels alone; those of groups only in multiples of 8 and with
/// kernels of at least 3.
fn large_conv(graph: &Graph, node: &Node, support: Support) -> Result<Support, Reason> {
    let Support::Product(Product { weights, .. }) = support else { return Ok(support) };
    let dims = graph.ty(weights).dims().unwrap_or_default();
    let &[outputs, inputs, ref kernel @ ..] = &dims[..] else { return Ok(support) };
    let groups = node.int("group").unwrap_or(1);
    if groups > 1 {
        let large = kernel.iter().all(|&size| size >= 3) && outputs % 8 == 0;
        return if large { Ok(support) } else { Err("its groups are too small for int8".into()) };
    }
    let square = kernel.windows(2).all(|pair| pair[0] == pair[1]);
    let few = outputs.min(inputs) < LEAST;
    if few && !(square && outputs % 8 == 0 && inputs % 8 == 0) {
        return Err(format!("{inputs} to {outputs} channels are too few for int8").into());
    }
    Ok(support)
}

fn large_product(graph: &Graph, support: Support) -> Result<Support, Reason> {
    let Support::Product(Product { weights, .. }) = support else { return Ok(support) };
    let dims = graph.ty(weights).dims().unwrap_or_default();
    if dims.iter().any(|&dim| dim < LEAST) {
        return Err(format!("weights of {dims:?} are too small for int8").into());
    }
    Ok(support)
}
