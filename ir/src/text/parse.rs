//! Text to models.
use super::ParseError;
use super::lex::{self, Kind, Token};
use super::spell;
use crate::{BoxedError, MAX_DEPTH, Model};
use bytes::Bytes;
use lapidary_proto::onnx;
use rustc_hash::FxHashSet;

/// The version of ONNX's own operator set that a text without `opset_import` imports.
pub const DEFAULT_OPSET: i64 = 21;

/// The IR version of a text that states none.
pub const DEFAULT_IR_VERSION: i64 = 10;

/// The version of every other domain that a text without `opset_import` imports.
const OTHER_OPSET: i64 = 1;

/// Constants of more elements are refused.
pub(super) const MAX_ELEMENTS: u64 = 1 << 26;

/// Reads a model.
///
/// # Errors
/// When the text is not in the notation, with the place; when what it describes is no model.
pub fn parse(text: &str) -> Result<Model, ParseError> {
    let tokens = lex::tokens(text)?;
    let mut parser = Parser { text, tokens, next: 0, depth: 0, domains: Vec::new() };
    let proto = parser.model()?;
    let no_file = |_: &onnx::TensorProto| -> Result<Bytes, BoxedError> {
        Err("a text has no external data".into())
    };
    Ok(Model::decode(proto, &no_file)?)
}

/// Recursive descent over tokens.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: usize,
    /// The domains of operators, in order of appearance.
    pub(super) domains: Vec<String>,
}

impl<'a> Parser<'a> {
    fn token(&self, index: usize) -> Token<'a> {
        let end = Token { kind: Kind::End, text: "", at: self.text.len() };
        self.tokens.get(index).copied().unwrap_or(end)
    }

    /// The next token.
    pub(super) fn peek(&self) -> Token<'a> {
        self.token(self.next)
    }

    /// The token after the next.
    pub(super) fn peek_after(&self) -> Token<'a> {
        self.token(self.next + 1)
    }

    /// Takes the next token.
    pub(super) fn bump(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    /// Whether that symbol is next.
    pub(super) fn is(&self, symbol: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Symbol && token.text == symbol
    }

    /// Takes that symbol if it is next.
    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        self.next += usize::from(found);
        found
    }

    /// Takes that symbol.
    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        self.expect_of(symbol, &format!("`{symbol}`"))
    }

    /// Takes that symbol, where others would do as well.
    pub(super) fn expect_of(&mut self, symbol: &str, expected: &str) -> Result<(), ParseError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    /// The error that the next token is not what is expected.
    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        let token = self.peek();
        ParseError::at(self.text, token.at, token.description(), expected)
    }

    /// Parses something that may contain its like.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth > MAX_DEPTH {
            return Err(self.unexpected(&format!("at most {MAX_DEPTH} graphs or types in another")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// A name, quoted or not.
    pub(super) fn name(&mut self, what: &str) -> Result<String, ParseError> {
        let token = self.peek();
        let name = match token.kind {
            Kind::Name => Some(token.text.to_owned()),
            Kind::String => {
                spell::unquote(token.text).and_then(|name| String::from_utf8(name).ok())
            }
            _ => None,
        };
        let name = name.ok_or_else(|| self.unexpected(what))?;
        self.bump();
        Ok(name)
    }

    /// A quoted string.
    pub(super) fn string(&mut self, what: &str) -> Result<Vec<u8>, ParseError> {
        let token = self.peek();
        if token.kind != Kind::String {
            return Err(self.unexpected(what));
        }
        let Some(bytes) = spell::unquote(token.text) else {
            return Err(self.unexpected("two hexadecimal digits after each `\\x`"));
        };
        self.bump();
        Ok(bytes)
    }

    /// An integer.
    pub(super) fn int(&mut self) -> Result<i64, ParseError> {
        let token = self.peek();
        let value = token.text.parse().ok().filter(|_| token.kind == Kind::Integer);
        let value = value.ok_or_else(|| self.unexpected("an integer of 64 bits"))?;
        self.bump();
        Ok(value)
    }

    fn model(&mut self) -> Result<onnx::ModelProto, ParseError> {
        let mut model = onnx::ModelProto::default();
        if self.eat("<") {
            loop {
                self.header_entry(&mut model)?;
                if !self.eat(",") {
                    break;
                }
            }
            self.expect_of(">", "`,` or `>`")?;
        }
        let name = self.name("the name of a graph")?;
        model.graph = Some(self.graph(name)?);
        while self.peek().kind != Kind::End {
            let function = self.function()?;
            model.functions.push(function);
        }
        model.ir_version.get_or_insert(DEFAULT_IR_VERSION);
        if model.opset_import.is_empty() {
            model.opset_import = self.default_opsets();
        }
        Ok(model)
    }

    /// What is imported without `opset_import`.
    pub(super) fn default_opsets(&self) -> Vec<onnx::OperatorSetIdProto> {
        let import = |domain: &str, version| onnx::OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        };
        let mut imports = vec![import("", DEFAULT_OPSET)];
        let others =
            self.domains.iter().filter(|domain| !matches!(domain.as_str(), "" | "ai.onnx"));
        imports.extend(others.map(|domain| import(domain, OTHER_OPSET)));
        imports
    }

    fn header_entry(&mut self, model: &mut onnx::ModelProto) -> Result<(), ParseError> {
        let key = self.peek();
        let known = ["ir_version", "opset_import", "producer_name", "producer_version", "domain"];
        let known = known.iter().chain(&["model_version", "doc_string", "metadata_props"]);
        if key.kind != Kind::Name || !known.clone().any(|&known| known == key.text) {
            let known: Vec<&str> = known.copied().collect();
            return Err(self.unexpected(&format!("one of {}", known.join(", "))));
        }
        self.bump();
        self.expect(":")?;
        match key.text {
            "ir_version" => model.ir_version = Some(self.int()?),
            "model_version" => model.model_version = Some(self.int()?),
            "opset_import" => model.opset_import = self.opset_import()?,
            "producer_name" => model.producer_name = Some(self.text_value()?),
            "producer_version" => model.producer_version = Some(self.text_value()?),
            "domain" => model.domain = Some(self.text_value()?),
            "doc_string" => model.doc_string = Some(self.text_value()?),
            _ => model.metadata_props = self.metadata()?,
        }
        Ok(())
    }

    /// A quoted string that is UTF-8.
    pub(super) fn text_value(&mut self) -> Result<String, ParseError> {
        if self.peek().kind != Kind::String {
            return Err(self.unexpected("a string"));
        }
        self.name("a string of UTF-8")
    }

    /// `["" : 21, "com.microsoft" : 1]`
    pub(super) fn opset_import(&mut self) -> Result<Vec<onnx::OperatorSetIdProto>, ParseError> {
        let mut imports = Vec::new();
        self.expect("[")?;
        while !self.is("]") {
            let domain = Some(self.text_value()?);
            self.expect(":")?;
            imports.push(onnx::OperatorSetIdProto { domain, version: Some(self.int()?) });
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of("]", "`,` or `]`")?;
        Ok(imports)
    }

    fn metadata(&mut self) -> Result<Vec<onnx::StringStringEntryProto>, ParseError> {
        let mut entries = Vec::new();
        self.expect("[")?;
        while !self.is("]") {
            let key = Some(self.text_value()?);
            self.expect(":")?;
            entries.push(onnx::StringStringEntryProto { key, value: Some(self.text_value()?) });
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of("]", "`,` or `]`")?;
        Ok(entries)
    }

    /// What follows the name of a graph.
    pub(super) fn graph(&mut self, name: String) -> Result<onnx::GraphProto, ParseError> {
        self.nested(|parser| {
            let inputs = parser.declarations("(", ")")?;
            parser.expect("=>")?;
            let outputs = parser.declarations("(", ")")?;
            let others = if parser.is("<") { parser.declarations("<", ">")? } else { Vec::new() };
            let node = parser.nodes()?;
            let made: FxHashSet<&str> =
                node.iter().flat_map(|node| &node.output).map(String::as_str).collect();
            let mut graph = onnx::GraphProto { name: Some(name), ..onnx::GraphProto::default() };
            for declaration in inputs {
                graph.initializer.extend(declaration.data);
                graph.input.push(declaration.info);
            }
            for declaration in outputs {
                if declaration.data.is_some() {
                    let found = "data for an output".to_owned();
                    return Err(ParseError::at(parser.text, declaration.at, found, "no data"));
                }
                graph.output.push(declaration.info);
            }
            for Declaration { info, data, at } in others {
                let name = info.name.as_deref().unwrap_or_default();
                match data {
                    Some(data) => graph.initializer.push(data),
                    None if made.contains(name) => graph.value_info.push(info),
                    None => {
                        graph.initializer.push(parser.seeded(name, info.r#type.as_ref(), at)?);
                    }
                }
            }
            graph.node = node;
            Ok(graph)
        })
    }

    fn declarations(&mut self, open: &str, close: &str) -> Result<Vec<Declaration>, ParseError> {
        let mut declarations = Vec::new();
        self.expect(open)?;
        while !self.is(close) {
            let at = self.peek().at;
            let info = self.value_info()?;
            let data = if self.eat("=") {
                let name = info.name.as_deref().unwrap_or_default();
                Some(self.constant(name, info.r#type.as_ref(), at)?)
            } else {
                None
            };
            declarations.push(Declaration { info, data, at });
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of(close, &format!("`,` or `{close}`"))?;
        Ok(declarations)
    }
}

/// A value that is declared, with its data and the place of its type.
struct Declaration {
    info: onnx::ValueInfoProto,
    data: Option<onnx::TensorProto>,
    at: usize,
}
