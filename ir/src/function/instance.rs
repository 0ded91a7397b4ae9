//! The body of a function as the nodes that stand for one call.
use super::{InlineError, Key};
use lapidary_proto::onnx::{self, AttributeProto, GraphProto, NodeProto};
use rustc_hash::{FxHashMap, FxHashSet};

/// Every name of a value and of a node in a model; new ones differ from all of them.
pub(super) struct Names {
    values: Unique,
    nodes: Unique,
}

#[derive(Default)]
struct Unique {
    taken: FxHashSet<String>,
    next_suffix: FxHashMap<String, usize>,
}

impl Names {
    /// The names in `graph` and below.
    pub(super) fn of(graph: &GraphProto) -> Self {
        let (mut values, mut nodes) = (Unique::default(), Unique::default());
        let taken = &mut values.taken;
        let mut waiting = vec![graph];
        while let Some(graph) = waiting.pop() {
            taken.extend(declared(graph).cloned());
            let infos = graph.output.iter().chain(&graph.value_info);
            taken.extend(infos.filter_map(|info| info.name.clone()));
            for node in &graph.node {
                taken.extend(node.input.iter().cloned());
                nodes.taken.extend(node.name.clone());
                let graphs = |a: &'_ AttributeProto| a.g.is_some() || !a.graphs.is_empty();
                for attribute in node.attribute.iter().filter(|attribute| graphs(attribute)) {
                    waiting.extend(attribute.g.as_deref().into_iter().chain(&attribute.graphs));
                }
            }
        }
        Self { values, nodes }
    }
}

impl Unique {
    /// A new name that starts with `base`.
    fn fresh(&mut self, base: &str) -> String {
        if self.taken.insert(base.to_owned()) {
            return base.to_owned();
        }
        let suffix = self.next_suffix.entry(base.to_owned()).or_insert(1);
        loop {
            let name = format!("{base}_{suffix}");
            *suffix += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

/// The names a graph gives: inputs, initializers, outputs of nodes.
fn declared(graph: &GraphProto) -> impl Iterator<Item = &String> {
    let inputs = graph.input.iter().filter_map(|info| info.name.as_ref());
    let initializers = graph.initializer.iter().filter_map(|tensor| tensor.name.as_ref());
    let sparse = graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()?.name.as_ref());
    let made = graph.node.iter().flat_map(|node| &node.output);
    inputs.chain(initializers).chain(sparse).chain(made).filter(|name| !name.is_empty())
}

/// One call of a function.
pub(super) struct Instance<'a> {
    function: &'a onnx::FunctionProto,
    call: &'a NodeProto,
    names: &'a mut Names,
    /// What the names of the body become, scope by scope; empty for inputs the call omits.
    scopes: Vec<FxHashMap<&'a str, String>>,
    /// Nodes that copy outputs which are inputs, or another output.
    copies: Vec<NodeProto>,
}

impl<'a> Instance<'a> {
    pub(super) fn new(
        function: &'a onnx::FunctionProto,
        call: &'a NodeProto,
        names: &'a mut Names,
    ) -> Result<Self, InlineError> {
        let mut scope: FxHashMap<&str, String> = FxHashMap::default();
        let mut copies = Vec::new();
        let given =
            [("inputs", &call.input, &function.input), ("outputs", &call.output, &function.output)];
        for (what, given, most) in given {
            if given.len() > most.len() {
                let (given, most) = (given.len(), most.len());
                let problem = format!("it has {given} {what}, expected at most {most}");
                return Err(misfit(function, call, problem));
            }
        }
        for (index, input) in function.input.iter().enumerate() {
            scope.insert(input, call.input.get(index).cloned().unwrap_or_default());
        }
        for (index, output) in function.output.iter().enumerate() {
            let wanted = call.output.get(index).filter(|name| !name.is_empty());
            match (scope.get(output.as_str()), wanted) {
                (Some(same), Some(wanted)) => copies.push(copy(same, wanted)),
                (Some(_), None) => {}
                (None, Some(wanted)) => _ = scope.insert(output, wanted.clone()),
                (None, None) => _ = scope.insert(output, names.values.fresh(output)),
            }
        }
        Ok(Self { function, call, names, scopes: vec![scope], copies })
    }

    /// The nodes that stand for the call.
    pub(super) fn nodes(mut self) -> Result<Vec<NodeProto>, InlineError> {
        let function = self.function;
        for output in function.node.iter().flat_map(|node| &node.output) {
            self.declare(output);
        }
        let nodes: Result<Vec<_>, _> = function.node.iter().map(|node| self.node(node)).collect();
        let mut nodes = nodes?;
        nodes.append(&mut self.copies);
        Ok(nodes)
    }

    /// Gives a name of the innermost scope a new one, unless it has one.
    fn declare(&mut self, name: &'a str) {
        let scope = self.scopes.last_mut().expect("there is the scope of the body");
        if !name.is_empty() && !scope.contains_key(name) {
            scope.insert(name, self.names.values.fresh(name));
        }
    }

    fn resolve(&self, name: &str) -> Result<String, InlineError> {
        if name.is_empty() {
            return Ok(String::new());
        }
        let found = self.scopes.iter().rev().find_map(|scope| scope.get(name));
        found.cloned().ok_or_else(|| InlineError::UnknownName {
            function: Key::of(self.function).to_string(),
            name: name.to_owned(),
        })
    }

    fn node(&mut self, node: &'a NodeProto) -> Result<NodeProto, InlineError> {
        let names = |names: &[String]| {
            names.iter().map(|name| self.resolve(name)).collect::<Result<_, _>>()
        };
        let (input, output) = (names(&node.input)?, names(&node.output)?);
        let mut attribute = Vec::with_capacity(node.attribute.len());
        for found in &node.attribute {
            attribute.extend(self.attribute(found)?);
        }
        Ok(NodeProto {
            input,
            output,
            name: self.node_name(node).map(|name| self.names.nodes.fresh(&name)),
            op_type: node.op_type.clone(),
            domain: node.domain.clone(),
            overload: node.overload.clone(),
            attribute,
            ..node.clone()
        })
    }

    fn node_name(&self, node: &NodeProto) -> Option<String> {
        let named = |node: &NodeProto| node.name.clone().filter(|name| !name.is_empty());
        match (named(self.call), named(node)) {
            (Some(call), Some(node)) => Some(format!("{call}/{node}")),
            (None, node) => node,
            (Some(_), None) => None,
        }
    }

    /// The attribute with what the call gives, or the function by default; none when neither does.
    fn attribute(
        &mut self,
        found: &'a AttributeProto,
    ) -> Result<Option<AttributeProto>, InlineError> {
        let Some(wanted) = found.ref_attr_name.as_ref().filter(|name| !name.is_empty()) else {
            let mut attribute = AttributeProto { g: None, graphs: Vec::new(), ..found.clone() };
            if let Some(graph) = &found.g {
                attribute.g = Some(Box::new(self.graph(graph)?));
            }
            for graph in &found.graphs {
                attribute.graphs.push(self.graph(graph)?);
            }
            return Ok(Some(attribute));
        };
        let named = |given: &&AttributeProto| given.name.as_ref() == Some(wanted);
        let given = self.call.attribute.iter().find(named);
        let Some(given) = given.or(self.function.attribute_proto.iter().find(named)) else {
            return Ok(None);
        };
        let known = |kind: Option<i32>| kind.filter(|&kind| kind != 0);
        if known(given.r#type).zip(known(found.r#type)).is_some_and(|(a, b)| a != b) {
            let problem = format!("attribute `{wanted}` is of another type");
            return Err(misfit(self.function, self.call, problem));
        }
        let (name, doc_string) = (found.name.clone(), found.doc_string.clone());
        Ok(Some(AttributeProto { name, doc_string, ..given.clone() }))
    }

    fn graph(&mut self, graph: &'a GraphProto) -> Result<GraphProto, InlineError> {
        self.scopes.push(FxHashMap::default());
        for name in declared(graph) {
            self.declare(name);
        }
        let mut renamed =
            GraphProto { node: Vec::with_capacity(graph.node.len()), ..graph.clone() };
        for node in &graph.node {
            renamed.node.push(self.node(node)?);
        }
        for info in renamed.input.iter_mut().chain(&mut renamed.output) {
            self.rename(&mut info.name)?;
        }
        for tensor in &mut renamed.initializer {
            self.rename(&mut tensor.name)?;
        }
        for values in renamed.sparse_initializer.iter_mut().filter_map(|s| s.values.as_mut()) {
            self.rename(&mut values.name)?;
        }
        renamed.value_info.retain_mut(|info| self.rename(&mut info.name).is_ok());
        renamed.quantization_annotation.clear();
        self.scopes.pop();
        Ok(renamed)
    }

    fn rename(&self, name: &mut Option<String>) -> Result<(), InlineError> {
        if let Some(name) = name {
            *name = self.resolve(name)?;
        }
        Ok(())
    }
}

fn copy(from: &str, to: &str) -> NodeProto {
    NodeProto {
        input: vec![from.to_owned()],
        output: vec![to.to_owned()],
        op_type: Some("Identity".to_owned()),
        ..NodeProto::default()
    }
}

fn misfit(function: &onnx::FunctionProto, call: &NodeProto, problem: String) -> InlineError {
    let node = call.name.clone().filter(|name| !name.is_empty());
    let node = node.or_else(|| call.output.first().cloned()).unwrap_or_default();
    InlineError::Call { node, function: Key::of(function).to_string(), problem }
}
