//! A model as the runtime has read it, before its input shapes are known.
use crate::guard::{Failure, guarded, reason};
use crate::lower::lower;
use crate::signature::Signature;
use crate::{ExecError, exchange, expand, kernels};
use lapidary_ir::proto::onnx;
use lapidary_ir::{ElemType, Graph, Model};
use prost::Message;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tract_onnx::Onnx;
use tract_onnx::prelude::{
    DatumType, InferenceFact, InferenceModel, InferenceModelExt, OutletId, TractError, TypedModel,
};
use tract_onnx::tract_core::internal::format_err;

/// Operators of Microsoft's domain that the runtime has; it looks operators up by name alone.
const MICROSOFT: [&str; 13] = [
    "BiasGelu",
    "DequantizeLinear",
    "FastGelu",
    "GatherBlockQuantized",
    "Gelu",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuantizeLinear",
    "QuickGelu",
    "SimplifiedLayerNormalization",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// A model the runtime has read.
pub(crate) struct Source {
    pub(crate) signature: Signature,
    /// The names of the outputs, in order.
    pub(crate) outputs: Vec<String>,
    /// Whether there are quantization operators.
    pub(crate) quantized: bool,
    /// Name and operator of every node of the main graph.
    nodes: Vec<(String, String)>,
    model: InferenceModel,
    outlets: HashMap<String, OutletId>,
}

impl Source {
    /// Reads a model.
    pub(crate) fn new(model: &Model) -> Result<Self, ExecError> {
        kernels::choose();
        let expanded = expand::expand(model);
        let model = &*expanded;
        let graph = &model.graph;
        let signature = Signature::new(graph)?;
        let runtime = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .with_ignore_output_shapes(true)
            .with_ignore_output_types(true);
        check_nodes(graph, &runtime)?;
        check_initializers(graph)?;
        let label = |node: &lapidary_ir::Node| (node.label(graph).to_owned(), node.op_type.clone());
        let nodes: Vec<(String, String)> = graph.nodes().map(|(_, node)| label(node)).collect();
        let parsed = guarded(|| {
            let proto = translate(model)?;
            let parsed = runtime.parse(&proto, None)?;
            if !parsed.unresolved_inputs.is_empty() {
                return Err(format_err!("nothing makes {}", parsed.unresolved_inputs.join(", ")));
            }
            Ok(parsed)
        });
        let parsed = parsed.map_err(|failure| blame(&nodes, failure))?;
        let name = |&id| graph.value(id).name().to_owned();
        Ok(Self {
            signature,
            outputs: graph.outputs().iter().map(name).collect(),
            quantized: is_quantized(graph),
            nodes,
            model: parsed.model,
            outlets: parsed.outlets_by_name,
        })
    }

    /// Whether the main graph has a value of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.outlets.contains_key(name)
    }

    /// The typed, un-optimized form for inputs of these shapes. `exposed` values become outputs
    /// behind the model's own.
    pub(crate) fn typed(
        &self,
        shapes: &[Vec<usize>],
        exposed: &[String],
    ) -> Result<TypedModel, ExecError> {
        let typed = guarded(|| {
            let mut model = self.model.clone();
            for (index, (declared, shape)) in self.signature.inputs.iter().zip(shapes).enumerate() {
                let Some(datum_type) = exchange::datum_type(declared.elem_type) else {
                    return Err(format_err!("input `{}` has an unsupported type", declared.name));
                };
                model.set_input_fact(index, InferenceFact::dt_shape(datum_type, shape))?;
            }
            let mut outputs = model.outputs.clone();
            outputs.extend(exposed.iter().filter_map(|name| self.outlets.get(name)));
            model.select_output_outlets(&outputs)?;
            model.into_typed()
        });
        typed.map_err(|failure| blame(&self.nodes, failure))
    }

    /// The form to run: optimized if asked for and the optimizer manages, else typed; graphs with quantization
    /// operators are lowered only. `exposed` values are outputs behind the model's own in either.
    pub(crate) fn runnable(
        &self,
        shapes: &[Vec<usize>],
        exposed: &[String],
        optimize: bool,
    ) -> Result<TypedModel, ExecError> {
        let typed = self.typed(shapes, exposed)?;
        if !optimize {
            return Ok(typed);
        }
        let optimized = guarded(|| match self.quantized {
            true => lower(typed.clone()),
            false => typed.clone().into_optimized(),
        });
        Ok(optimized.unwrap_or(typed))
    }
}

/// The runtime's wire form of the model. Initializers are copied once, without a detour through
/// bytes.
fn translate(model: &Model) -> Result<tract_onnx::pb::ModelProto, TractError> {
    let mut proto = model.encode();
    let mut data = Vec::new();
    if let Some(graph) = &mut proto.graph {
        spell_out_zeros(graph);
        data.extend(graph.initializer.iter_mut().map(|tensor| tensor.raw_data.take()));
    }
    let skeleton = proto.encode_to_vec();
    drop(proto);
    let mut native = tract_onnx::pb::ModelProto::decode(skeleton.as_slice())?;
    if let Some(graph) = &mut native.graph {
        for (tensor, data) in graph.initializer.iter_mut().zip(data) {
            tensor.raw_data = data.map(Vec::from).unwrap_or_default();
        }
    }
    Ok(native)
}

/// Gives every `ConstantOfShape` without a value the one it has by default: the runtime takes a
/// double for it, the specification a float.
fn spell_out_zeros(graph: &mut onnx::GraphProto) {
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            attribute.g.iter_mut().for_each(|graph| spell_out_zeros(graph));
        }
        let standard = matches!(node.domain(), "" | "ai.onnx");
        if standard && node.op_type() == "ConstantOfShape" && node.attribute.is_empty() {
            let zero = onnx::TensorProto {
                dims: vec![1],
                data_type: Some(ElemType::FLOAT.0),
                float_data: vec![0.0],
                ..onnx::TensorProto::default()
            };
            node.attribute.push(onnx::AttributeProto {
                name: Some("value".to_owned()),
                r#type: Some(onnx::attribute_proto::AttributeType::Tensor as i32),
                t: Some(Box::new(zero)),
                ..onnx::AttributeProto::default()
            });
        }
    }
}

/// Refuses operators the runtime does not have, subgraphs included.
fn check_nodes(graph: &Graph, runtime: &Onnx) -> Result<(), ExecError> {
    for (_, node) in graph.nodes() {
        let known = runtime.op_register.0.contains_key(&node.op_type);
        let reason = match node.domain.as_str() {
            "" | "ai.onnx" | "ai.onnx.ml" if known => None,
            "com.microsoft" if known && MICROSOFT.contains(&node.op_type.as_str()) => None,
            "" | "ai.onnx" => Some("it has no such operator".to_owned()),
            domain => Some(format!("it has no such operator in domain `{domain}`")),
        };
        if let Some(reason) = reason {
            let (node, op_type) = (node.label(graph).to_owned(), node.op_type.clone());
            return Err(ExecError::Unsupported { node, op_type, reason });
        }
        for subgraph in node.subgraphs() {
            check_nodes(subgraph, runtime)?;
            check_initializers(subgraph)?;
        }
    }
    Ok(())
}

/// Refuses constants of types the runtime does not have.
fn check_initializers(graph: &Graph) -> Result<(), ExecError> {
    for (id, tensor) in graph.initializers() {
        let elem_type = tensor.elem_type();
        if exchange::datum_type(elem_type).is_none() && elem_type != ElemType::STRING {
            let name = graph.value(id).name().to_owned();
            return Err(ExecError::UnsupportedType { name, elem_type });
        }
    }
    Ok(())
}

/// Whether any operator quantizes or computes with quantized numbers.
fn is_quantized(graph: &Graph) -> bool {
    graph.nodes().any(|(_, node)| {
        let op_type = node.op_type.as_str();
        op_type.contains("QuantizeLinear")
            || op_type.contains("DequantizeLinear")
            || op_type.starts_with("QLinear")
            || op_type.ends_with("Integer")
            || node.subgraphs().any(is_quantized)
    })
}

/// The error of a model that does not load: about a node, if the runtime says which.
fn blame(nodes: &[(String, String)], failure: Failure) -> ExecError {
    let error = match failure {
        Failure::Error(error) => error,
        Failure::Panic(message) => return ExecError::RuntimePanic { message },
    };
    let reason = reason(&error);
    let mentioned: Vec<String> =
        error.chain().filter_map(|cause| named(&cause.to_string())).collect();
    for name in mentioned.iter().rev() {
        if let Some((node, op_type)) = nodes.iter().find(|(node, _)| node == name) {
            let (node, op_type) = (node.clone(), op_type.clone());
            return ExecError::Unsupported { node, op_type, reason };
        }
    }
    ExecError::Load { reason }
}

/// The node a message of the runtime is about.
fn named(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("Building node ") {
        return Some(rest.rsplit_once(" (")?.0.to_owned());
    }
    let (_, rest) = message.split_once("node #").or_else(|| message.split_once("Evaluating #"))?;
    Some(rest.split('"').nth(1)?.to_owned())
}

/// Plans by the shapes of the inputs, the newest last.
pub(crate) struct Plans<T>(Mutex<Vec<Cached<T>>>);

type Cached<T> = (Vec<Vec<usize>>, Arc<T>);

/// As many plans are kept; each may hold its own copy of the weights.
const MAX_PLANS: usize = 4;

impl<T> Plans<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The plan for these shapes. Threads that want a plan wait while one of them builds it.
    pub(crate) fn get(
        &self,
        shapes: &[Vec<usize>],
        build: impl FnOnce() -> Result<T, ExecError>,
    ) -> Result<Arc<T>, ExecError> {
        // Nothing that can panic leaves the list half changed.
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, plan)) = plans.iter().find(|(known, _)| known == shapes) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(build()?);
        if plans.len() == MAX_PLANS {
            plans.remove(0);
        }
        plans.push((shapes.to_vec(), plan.clone()));
        Ok(plan)
    }
}

/// Whether values of that type can be observed.
pub(crate) fn is_float(datum_type: DatumType) -> bool {
    matches!(datum_type, DatumType::F32 | DatumType::F64 | DatumType::F16)
}
