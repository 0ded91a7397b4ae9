//! Inlining: calls of functions become the nodes of their bodies.
use super::calls::{calls_of_function, reachable};
use super::instance::{Instance, Names};
use super::{Key, nodes_below};
use crate::{BoxedError, DecodeError, MAX_DEPTH, Model, schema};
use bytes::Bytes;
use lapidary_proto::onnx::{self, NodeProto};
use lapidary_proto::prost::Message;
use rustc_hash::{FxHashMap, FxHashSet};

/// A model may have at most this many nodes in functions that are inlined.
const MAX_NODES: usize = 1 << 19;

/// The nodes that are inlined may have at most this many bytes: what protobuf can hold, halved.
const MAX_BYTES: usize = 1 << 30;

/// Why the functions of a model can't be inlined.
#[derive(Debug, thiserror::Error)]
pub enum InlineError {
    /// A function calls itself, directly or through others.
    #[error("function `{0}` calls itself")]
    Recursive(String),
    /// The body is written in another operator set than the model.
    #[error(
        "function `{function}` imports version {needs} of `{domain}` for {op_type}, the model imports version {has}, which has another {op_type}"
    )]
    OtherOpset {
        /// The function.
        function: String,
        /// The domain both import.
        domain: String,
        /// An operator that differs.
        op_type: String,
        /// The version the function imports.
        needs: i64,
        /// The version the model imports.
        has: i64,
    },
    /// A call does not fit the function.
    #[error("node `{node}` does not fit function `{function}` it calls: {problem}")]
    Call {
        /// The node.
        node: String,
        /// The function.
        function: String,
        /// What is wrong.
        problem: String,
    },
    /// The body reads what it does not make.
    #[error("function `{function}` reads `{name}`, which it neither makes nor takes")]
    UnknownName {
        /// The function.
        function: String,
        /// What is read.
        name: String,
    },
    /// The result would be too large.
    #[error("inlined functions are more than {MAX_NODES} nodes or {MAX_BYTES} bytes")]
    TooLarge,
    /// The result would be nested too deeply.
    #[error("with functions inlined, subgraphs are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// The result is no model.
    #[error("with functions inlined, the model is malformed")]
    Malformed(#[source] DecodeError),
}

impl Model {
    /// Replaces every call of a function by its body, in the graph and its subgraphs, and removes
    /// the functions nothing calls any more. Returns the number of calls.
    ///
    /// # Errors
    /// When that is impossible, says why; the model is then unchanged.
    pub fn inline_functions(&mut self) -> Result<usize, InlineError> {
        if self.rest.functions.is_empty() {
            return Ok(0);
        }
        let mut proto = self.encode();
        let functions = std::mem::take(&mut proto.functions);
        let mut graph = proto.graph.take().unwrap_or_default();
        let called = nodes_below(&graph.node).map(Key::called).collect();
        refuse_recursion(&functions, &reachable(&functions, called))?;
        let mut inliner = Inliner::new(&functions, &mut proto.opset_import, Names::of(&graph));
        graph.node = inliner.nodes(graph.node, 0)?;
        let calls = inliner.calls;
        proto.graph = Some(graph);
        proto.functions = functions;
        let no_file = |_: &onnx::TensorProto| -> Result<Bytes, BoxedError> {
            Err("sparse tensors in other files are not inlined".into())
        };
        let mut model = Self::decode(proto, &no_file).map_err(InlineError::Malformed)?;
        model.external_data = self.external_data;
        model.remove_unused_functions();
        *self = model;
        Ok(calls)
    }
}

/// Of several functions of one key the first.
fn by_key(functions: &[onnx::FunctionProto]) -> FxHashMap<Key<'_>, usize> {
    functions.iter().enumerate().rev().map(|(index, f)| (Key::of(f), index)).collect()
}

/// The name of a domain; that of ONNX's own operators is empty.
fn domain(name: &Option<String>) -> &str {
    name.as_deref().filter(|&name| name != "ai.onnx").unwrap_or("")
}

/// Takes away functions that call none of the others until nothing is left, or a circle.
fn refuse_recursion(functions: &[onnx::FunctionProto], used: &[bool]) -> Result<(), InlineError> {
    let keys = by_key(functions);
    let mut callers: Vec<Vec<usize>> = vec![Vec::new(); functions.len()];
    let mut callees = vec![0_usize; functions.len()];
    for (index, function) in functions.iter().enumerate().filter(|(index, _)| used[*index]) {
        let called: FxHashSet<usize> =
            calls_of_function(function).filter_map(|key| keys.get(&key).copied()).collect();
        callees[index] = called.len();
        let mut called: Vec<usize> = called.into_iter().collect();
        called.sort_unstable();
        called.into_iter().for_each(|callee| callers[callee].push(index));
    }
    let mut free: Vec<usize> =
        (0..functions.len()).filter(|&index| used[index] && callees[index] == 0).collect();
    while let Some(index) = free.pop() {
        for &caller in &callers[index] {
            callees[caller] -= 1;
            if callees[caller] == 0 {
                free.push(caller);
            }
        }
    }
    // What is left calls itself or a function that does; what only calls such has no caller left.
    let mut left: Vec<bool> = callees.iter().map(|&count| count > 0).collect();
    loop {
        let idle = |index: &usize| left[*index] && !callers[*index].iter().any(|&by| left[by]);
        let Some(index) = (0..left.len()).find(idle) else { break };
        left[index] = false;
    }
    match left.iter().position(|&left| left) {
        Some(index) => Err(InlineError::Recursive(Key::of(&functions[index]).to_string())),
        None => Ok(()),
    }
}

struct Inliner<'a> {
    functions: &'a [onnx::FunctionProto],
    /// Of several functions of one key the first is meant.
    by_key: FxHashMap<Key<'a>, usize>,
    imports: &'a mut Vec<onnx::OperatorSetIdProto>,
    imported: FxHashSet<usize>,
    names: Names,
    calls: usize,
    added: usize,
    bytes: usize,
}

impl<'a> Inliner<'a> {
    fn new(
        functions: &'a [onnx::FunctionProto],
        imports: &'a mut Vec<onnx::OperatorSetIdProto>,
        names: Names,
    ) -> Self {
        Self {
            functions,
            by_key: by_key(functions),
            imports,
            imported: FxHashSet::default(),
            names,
            calls: 0,
            added: 0,
            bytes: 0,
        }
    }

    /// The nodes without calls, in order.
    fn nodes(
        &mut self,
        nodes: Vec<NodeProto>,
        depth: usize,
    ) -> Result<Vec<NodeProto>, InlineError> {
        if depth > MAX_DEPTH {
            return Err(InlineError::TooDeep);
        }
        let mut done = Vec::with_capacity(nodes.len());
        let mut waiting = nodes;
        waiting.reverse();
        while let Some(mut node) = waiting.pop() {
            if let Some(index) = self.function(&node) {
                let body = self.body(index, &node)?;
                waiting.extend(body.into_iter().rev());
                continue;
            }
            for attribute in &mut node.attribute {
                let graph = attribute.g.as_deref_mut().into_iter();
                for graph in graph.chain(&mut attribute.graphs) {
                    graph.node = self.nodes(std::mem::take(&mut graph.node), depth + 1)?;
                }
            }
            done.push(node);
        }
        Ok(done)
    }

    /// The function a node calls.
    fn function(&self, node: &NodeProto) -> Option<usize> {
        let by_key: &FxHashMap<Key<'_>, usize> = &self.by_key;
        by_key.get(&Key::called(node)).copied()
    }

    /// The nodes that stand for a call; they may be calls themselves.
    fn body(&mut self, index: usize, call: &NodeProto) -> Result<Vec<NodeProto>, InlineError> {
        let function = &self.functions[index];
        if self.imported.insert(index) {
            self.import(function)?;
        }
        let body = Instance::new(function, call, &mut self.names)?.nodes()?;
        self.calls += 1;
        self.added += 1 + body.len();
        self.bytes += body.iter().map(Message::encoded_len).sum::<usize>();
        if self.added > MAX_NODES || self.bytes > MAX_BYTES {
            return Err(InlineError::TooLarge);
        }
        Ok(body)
    }

    /// Imports what the function imports. Where the model imports another version, every operator
    /// of the body must be the same in both.
    fn import(&mut self, function: &onnx::FunctionProto) -> Result<(), InlineError> {
        for import in &function.opset_import {
            let (name, needs) = (domain(&import.domain), import.version.unwrap_or(0));
            let same = |other: &&onnx::OperatorSetIdProto| domain(&other.domain) == name;
            let Some(has) = self.imports.iter().find(same).map(|other| other.version.unwrap_or(0))
            else {
                self.imports.push(import.clone());
                continue;
            };
            if has == needs {
                continue;
            }
            let differs = |node: &&NodeProto| {
                let op_type = node.op_type.as_deref().unwrap_or("");
                let since = |version| schema::since(op_type, version).filter(|_| name.is_empty());
                let same = since(needs).is_some() && since(needs) == since(has);
                domain(&node.domain) == name && self.function(node).is_none() && !same
            };
            let mut nodes = nodes_below(&function.node);
            let Some(node) = nodes.find(|node| differs(node)) else { continue };
            return Err(InlineError::OtherOpset {
                function: Key::of(function).to_string(),
                domain: if name.is_empty() { "ai.onnx" } else { name }.to_owned(),
                op_type: node.op_type.clone().unwrap_or_default(),
                needs,
                has,
            });
        }
        Ok(())
    }
}
