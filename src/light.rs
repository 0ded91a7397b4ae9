//! Compression that needs no samples.
use crate::Error;
use lapidary_ir::{Graph, Model};
use lapidary_passes::convert::{ConvertFloatType, FloatOptions, FloatTypeError};
use lapidary_passes::quantize::Outcome;
use lapidary_passes::quantize::dynamic::{DynamicOptions, QuantizeDynamicInteger};
use lapidary_passes::quantize::weight_only::{QuantizeWeights, WeightError, WeightOptions};
use lapidary_passes::{Pass, driver};

/// Computes products and lookups with constant weights in 8-bit integers; activations are quantized
/// while the model runs.
///
/// # Errors
/// When an excluded node does not exist or a pass is at fault.
pub fn quantize_dynamic(model: &mut Model, options: &DynamicOptions) -> Result<Outcome, Error> {
    model.graph.infer();
    check_names(model, &options.exclude)?;
    let pass = QuantizeDynamicInteger { options: options.clone() };
    let outcome = pass.apply(model)?;
    driver::check(pass.info().name, model)?;
    Ok(outcome)
}

/// Stores weights in few bits. Also returns the same model with the numbers they are restored to in
/// float, which computes the same.
///
/// # Errors
/// When an excluded node does not exist, the model can't be raised to the operator set the weights need,
/// or a pass is at fault.
pub fn quantize_weights(
    model: &mut Model,
    options: &WeightOptions,
) -> Result<(Outcome, Model), Error> {
    model.graph.infer();
    check_names(model, &options.exclude)?;
    let pass = QuantizeWeights { options: options.clone() };
    let restored = pass.restored(model)?;
    let outcome = pass.apply(model).map_err(|error| match error {
        WeightError::Opset { source, .. } => Error::Convert(source),
        WeightError::Pass(error) => Error::Pass(error),
    })?;
    driver::check(pass.info().name, model)?;
    Ok((outcome, restored))
}

/// Computes in floating-point numbers of 16 bits.
///
/// # Errors
/// When a blocked node does not exist, the model can't be raised to the operator set the type needs, or
/// the pass is at fault.
pub fn convert_float(model: &mut Model, options: &FloatOptions) -> Result<Outcome, Error> {
    model.graph.infer();
    check_names(model, &options.block_nodes)?;
    let pass = ConvertFloatType { options: options.clone() };
    let outcome = pass.convert(model).map_err(|error| match error {
        FloatTypeError::Opset { source, .. } => Error::Convert(source),
        FloatTypeError::Pass(error) => Error::Pass(error),
    })?;
    driver::check(pass.info().name, model)?;
    Ok(outcome)
}

/// Every name is that of a node, in the graph or a subgraph.
fn check_names(model: &Model, names: &[String]) -> Result<(), Error> {
    match names.iter().find(|name| !has_node(&model.graph, name)) {
        None => Ok(()),
        Some(name) => Err(Error::Usage {
            problem: format!("no node is named `{name}`"),
            help: "names of nodes are expected; `lapidary inspect --text` or Netron shows them"
                .to_owned(),
        }),
    }
}

fn has_node(graph: &Graph, name: &str) -> bool {
    let mut nodes = graph.nodes();
    nodes.any(|(_, node)| {
        node.label(graph) == name || node.subgraphs().any(|body| has_node(body, name))
    })
}
