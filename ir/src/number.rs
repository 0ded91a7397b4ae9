//! Numbers for expressions: two values with the same number are the same by construction.
//!
//! A value is a number of its operator, its attributes and the numbers of what the operator reads;
//! a constant one of its content; an input of a graph one of its name. What is compared is the
//! whole description, not a hash of it, so equal numbers prove equal values: for every input, any
//! runtime that computes the same for the same gives the same. The opposite does not hold.
//!
//! A random operator is the same only as one of the same name. So is an operator of a domain this
//! library does not know.
use crate::{AttributeValue, ElemType, Graph, Model, Node, Tensor, ValueId, schema};
use lapidary_proto::prost::Message;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The number of an expression, in one [`Numbering`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u32);

/// The numbers of all expressions met so far, of any number of models.
#[derive(Debug, Default)]
pub struct Numbering {
    expressions: FxHashMap<Box<[u8]>, u32>,
    /// Constants by what is quickly looked at.
    constants: FxHashMap<Glance, Vec<(Arc<Tensor>, u32)>>,
    count: u32,
}

/// What is quickly looked at to tell constants apart: type, dimensions, first and last bytes.
type Glance = (ElemType, Vec<i64>, Vec<u8>);

/// The bytes of a constant at either end that are looked at.
const GLANCE: usize = 32;

/// The surroundings of an expression.
struct Scope<'a> {
    model: &'a Model,
    /// 0 in the main graph, one more in each subgraph.
    depth: u32,
}

impl Numbering {
    /// The numbers of the values of the main graph, by [`ValueId::index`]. Readers of a value
    /// `named` gives a key read that key, whatever makes the value.
    pub fn number(
        &mut self,
        model: &Model,
        named: &dyn Fn(ValueId) -> Option<u32>,
    ) -> Vec<Option<Number>> {
        let scope = Scope { model, depth: 0 };
        self.graph(&model.graph, &scope, &[], named)
    }

    /// The number of an attribute. What its subgraphs capture is not looked at.
    pub fn of_attribute(&mut self, model: &Model, value: &AttributeValue) -> Number {
        let mut key = Key::new(b'A');
        self.attribute(&mut key, value, &Scope { model, depth: 0 }, &[]);
        Number(self.intern(key))
    }

    /// The number of a constant.
    pub fn of_tensor(&mut self, tensor: &Arc<Tensor>) -> Number {
        Number(self.constant(tensor))
    }

    /// Numbers a graph; `captured` are the numbers of what its node captures.
    fn graph(
        &mut self,
        graph: &Graph,
        scope: &Scope<'_>,
        captured: &[u32],
        named: &dyn Fn(ValueId) -> Option<u32>,
    ) -> Vec<Option<Number>> {
        let mut made: Vec<Option<Number>> = vec![None; graph.value_bound()];
        let mut read: Vec<u32> = vec![0; graph.value_bound()];
        for (id, value) in graph.values() {
            if value.producer().is_some() {
                continue;
            }
            let number = match value.constant() {
                Some(tensor) => self.constant(tensor),
                None => self.input(graph, id, scope),
            };
            made[id.index()] = Some(Number(number));
        }
        for &(id, slot) in &graph.captures {
            made[id.index()] = captured.get(slot as usize).map(|&number| Number(number));
        }
        for (id, _) in graph.values() {
            read[id.index()] = self.read(made[id.index()], named(id));
        }
        for id in graph.topological_order() {
            let node = &graph[id];
            let number = self.node(graph, node, scope, &read);
            for (slot, output) in node.outputs.iter().enumerate() {
                let Some(output) = output else { continue };
                let mut key = Key::new(b'O');
                key.count(number as usize);
                key.count(slot);
                let number = match constant_of(node) {
                    Some(tensor) => self.constant(tensor),
                    None => self.intern(key),
                };
                made[output.index()] = Some(Number(number));
                read[output.index()] = self.read(Some(Number(number)), named(*output));
            }
        }
        made
    }

    /// The number readers of a value see.
    fn read(&mut self, made: Option<Number>, named: Option<u32>) -> u32 {
        let Some(name) = named else { return made.map_or(0, |Number(number)| number) };
        let mut key = Key::new(b'V');
        key.count(name as usize);
        self.intern(key)
    }

    fn input(&mut self, graph: &Graph, id: ValueId, scope: &Scope<'_>) -> u32 {
        let value = graph.value(id);
        let default = value.initializer().map(|tensor| self.constant(tensor));
        let mut key = Key::new(b'I');
        key.count(scope.depth as usize);
        match scope.depth {
            0 => key.bytes(value.name().as_bytes()),
            _ => key.count(graph.inputs().iter().position(|&input| input == id).unwrap_or(0)),
        }
        key.count(default.unwrap_or(0) as usize);
        self.intern(key)
    }

    fn node(&mut self, graph: &Graph, node: &Node, scope: &Scope<'_>, read: &[u32]) -> u32 {
        let domain = if node.is_standard() { "" } else { node.domain.as_str() };
        let mut key = Key::new(b'N');
        key.bytes(domain.as_bytes());
        key.bytes(node.op_type.as_bytes());
        key.count(graph.opsets().version(domain).unwrap_or(0) as usize);
        let overload = node.rest.as_ref().map_or("", |rest| rest.overload());
        key.bytes(overload.as_bytes());
        key.count(node.outputs.len());
        if !is_function(node) {
            let output = node.outputs.iter().flatten().next();
            let name = output.map_or("", |&output| graph.value(output).name());
            key.bytes(name.as_bytes());
        }
        if !node.is_standard() {
            let functions = &scope.model.rest.functions;
            let body = functions
                .iter()
                .find(|function| function.domain() == domain && function.name() == node.op_type);
            key.bytes(&body.map(Message::encode_to_vec).unwrap_or_default());
        }
        let inputs = node.inputs.iter().map(|input| input.map_or(0, |id| read[id.index()]));
        let mut inputs: Vec<u32> = inputs.collect();
        while inputs.last() == Some(&0) {
            inputs.pop();
        }
        key.numbers(&inputs);
        let captured: Vec<u32> = node.captured.iter().map(|id| read[id.index()]).collect();
        let mut attributes: Vec<_> = node.attributes.iter().collect();
        attributes.sort_by(|a, b| a.name.cmp(&b.name));
        key.count(attributes.len());
        for attribute in attributes {
            key.bytes(attribute.name.as_bytes());
            self.attribute(&mut key, &attribute.value, scope, &captured);
        }
        self.intern(key)
    }

    fn attribute(
        &mut self,
        key: &mut Key,
        value: &AttributeValue,
        scope: &Scope<'_>,
        captured: &[u32],
    ) {
        match value {
            AttributeValue::Float(value) => key.fields(b'f', [value.to_le_bytes()]),
            AttributeValue::Int(value) => key.fields(b'i', [value.to_le_bytes()]),
            AttributeValue::String(value) => key.fields(b's', [value]),
            AttributeValue::Floats(values) => {
                key.fields(b'F', values.iter().map(|value| value.to_le_bytes()));
            }
            AttributeValue::Ints(values) => {
                key.fields(b'L', values.iter().map(|value| value.to_le_bytes()));
            }
            AttributeValue::Strings(values) => key.fields(b'S', values),
            AttributeValue::Tensor(tensor) => {
                key.fields(b't', [self.constant(tensor).to_le_bytes()]);
            }
            AttributeValue::Graph(graph) => {
                let scope = Scope { model: scope.model, depth: scope.depth + 1 };
                let numbers = self.graph(graph, &scope, captured, &|_| None);
                let outputs = graph.outputs().iter().map(|id| numbers[id.index()]);
                let outputs = outputs.map(|number| number.map_or(0, |Number(number)| number));
                let inputs = [graph.inputs().len() as u32];
                key.fields(b'g', inputs.into_iter().chain(outputs).map(u32::to_le_bytes));
            }
            AttributeValue::Other(proto) => {
                let mut proto = (**proto).clone();
                proto.doc_string = None;
                key.fields(b'o', [proto.encode_to_vec()]);
            }
        }
    }

    fn constant(&mut self, tensor: &Arc<Tensor>) -> u32 {
        let bytes = tensor.bytes().map_or(&[][..], |bytes| bytes);
        let (first, last) = (bytes.iter().take(GLANCE), bytes.iter().rev().take(GLANCE));
        let glance = (tensor.elem_type(), tensor.dims().to_vec(), first.chain(last).copied());
        let glance: Glance = (glance.0, glance.1, glance.2.collect());
        let alike = self.constants.entry(glance).or_default();
        let same = |known: &Arc<Tensor>| Arc::ptr_eq(known, tensor) || known.same_content(tensor);
        if let Some((_, number)) = alike.iter().find(|(known, _)| same(known)) {
            return *number;
        }
        self.count += 1;
        alike.push((tensor.clone(), self.count));
        self.count
    }

    fn intern(&mut self, Key(key): Key) -> u32 {
        if let Some(&number) = self.expressions.get(key.as_slice()) {
            return number;
        }
        self.count += 1;
        self.expressions.insert(key.into_boxed_slice(), self.count);
        self.count
    }
}

/// The data of a `Constant` node, which is the same as an initializer.
fn constant_of(node: &Node) -> Option<&Arc<Tensor>> {
    if node.is("Constant") { node.tensor("value") } else { None }
}

/// Whether a node gives the same for the same, as far as is known.
fn is_function(node: &Node) -> bool {
    let known = node.is_standard() || node.domain == "com.microsoft";
    let training = match node.op_type.as_str() {
        "Dropout" => node.inputs.len() > 2,
        "BatchNormalization" => node.int("training_mode").unwrap_or(0) != 0,
        _ => false,
    };
    let mut inner = node.subgraphs().flat_map(Graph::nodes);
    let random = schema::is_random(&node.op_type) || training;
    known && !random && inner.all(|(_, node)| is_function(node))
}

/// The description of an expression. Every field says how long it is.
struct Key(Vec<u8>);

impl Key {
    fn new(tag: u8) -> Self {
        Self(vec![tag])
    }

    fn count(&mut self, count: usize) {
        self.0.extend_from_slice(&(count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.count(numbers.len());
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
    }

    /// A tag and any number of fields.
    fn fields(&mut self, tag: u8, fields: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        self.0.push(tag);
        let fields: Vec<_> = fields.into_iter().collect();
        self.count(fields.len());
        fields.iter().for_each(|field| self.bytes(field.as_ref()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    /// Whether value `y` of both is the same by construction.
    fn same(a: &str, b: &str) -> bool {
        let mut numbering = Numbering::default();
        let mut number = |body: &str| {
            let text = format!("g (float[2,2] x, float[2,2] z, bool c) => (y) {body}");
            let model = text::parse(&text).unwrap_or_else(|error| panic!("{error}"));
            let y = model.graph.find("y").expect("there is a value `y`");
            numbering.number(&model, &|_| None)[y.index()].expect("it has a number")
        };
        number(a) == number(b)
    }

    #[test]
    fn names_do_not_matter_operators_attributes_and_operands_do() {
        assert!(same("{ a = Relu(x) y = Neg(a) }", "{ b = Relu(x) y = Neg(b) }"));
        assert!(!same("{ y = Relu(x) }", "{ y = Relu(z) }"));
        assert!(!same("{ y = Relu(x) }", "{ y = Neg(x) }"));
        assert!(!same("{ y = Sub(x, z) }", "{ y = Sub(z, x) }"));
        assert!(!same("{ y = Elu <alpha = 1.5> (x) }", "{ y = Elu <alpha = 1.25> (x) }"));
        assert!(same(
            "{ a, y = Split <axis = 0, num_outputs = 2> (x) }",
            "{ b, y = Split <num_outputs = 2, axis = 0> (x) }"
        ));
        assert!(!same(
            "{ a, y = Split <axis = 0, num_outputs = 2> (x) }",
            "{ y, a = Split <axis = 0, num_outputs = 2> (x) }"
        ));
    }

    #[test]
    fn constants_are_their_content() {
        let with = |numbers: &str| format!("<float[2] w = {{{numbers}}}> {{ y = Add(x, w) }}");
        assert!(same(&with("1, 2"), &with("1, 2")));
        assert!(!same(&with("0, 2"), &with("-0.0, 2")));
        let node = "{ k = Constant <value = float[2] {1, 2}> () y = Add(x, k) }";
        assert!(same(&with("1, 2"), node));
    }

    #[test]
    fn subgraphs_are_compared_up_to_their_names() {
        let branches = |value: &str, captured: &str| {
            format!(
                "{{ y = If (c) <
                    then_branch = t () => ({value}) {{ {value} = Neg({captured}) }},
                    else_branch = e () => (q) {{ q = Abs(z) }}
                > }}"
            )
        };
        assert!(same(&branches("p", "x"), &branches("r", "x")));
        assert!(!same(&branches("p", "x"), &branches("p", "z")));
    }

    #[test]
    fn random_operators_are_the_same_by_name_only() {
        let noise = |name: &str| format!("{{ {name} = RandomNormalLike(x) y = Add({name}, x) }}");
        assert!(same(&noise("n"), &noise("n")));
        assert!(!same(&noise("n"), &noise("m")));
    }

    #[test]
    fn a_long_chain_is_numbered_without_recursion() {
        let nodes: String = (0..10_000).map(|n| format!("v{} = Neg(v{n})\n", n + 1)).collect();
        let text = format!("g (float[1] v0) => (float[1] v10000) {{ {nodes} }}");
        let model = text::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut numbering = Numbering::default();
        let (a, b) = (numbering.number(&model, &|_| None), numbering.number(&model, &|_| None));
        assert_eq!(a, b);
    }
}
