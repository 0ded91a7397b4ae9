//! Nodes, attributes and functions.
use super::lex::{self, Kind};
use super::parse::Parser;
use super::{ParseError, spell};
use lapidary_proto::onnx;
use onnx::AttributeProto;
use onnx::attribute_proto::AttributeType;

impl Parser<'_> {
    /// `{ y = Relu(x) }`
    pub(super) fn nodes(&mut self) -> Result<Vec<onnx::NodeProto>, ParseError> {
        let mut nodes = Vec::new();
        self.expect("{")?;
        while !self.is("}") {
            if self.peek().kind == Kind::End {
                return Err(self.unexpected("a node or `}`"));
            }
            nodes.push(self.node()?);
        }
        self.bump();
        Ok(nodes)
    }

    fn node(&mut self) -> Result<onnx::NodeProto, ParseError> {
        let mut node = onnx::NodeProto::default();
        if self.eat("[") {
            node.name = Some(self.name("the name of a node")?);
            self.expect("]")?;
        }
        node.output = self.names("=")?;
        self.expect_of("=", "`,` or `=`")?;
        let mut path = vec![self.name("an operator")?];
        while self.eat(".") {
            path.push(self.name("an operator")?);
        }
        node.op_type = path.pop();
        let domain = path.join(".");
        if !self.domains.contains(&domain) {
            self.domains.push(domain.clone());
        }
        node.domain = (!domain.is_empty()).then_some(domain);
        if self.eat(":") {
            node.overload = Some(self.name("an overload")?);
        }
        if self.is("<") {
            node.attribute = self.attributes()?;
        }
        self.expect_of("(", "`(` or `<`")?;
        node.input = self.names(")")?;
        self.expect_of(")", "`,` or `)`")?;
        if node.attribute.is_empty() && self.is("<") {
            node.attribute = self.attributes()?;
        }
        Ok(node)
    }

    /// Names between commas up to `close`, each possibly missing. A comma at the end adds none.
    fn names(&mut self, close: &str) -> Result<Vec<String>, ParseError> {
        let mut names = Vec::new();
        while !self.is(close) {
            let missing = self.is(",");
            names.push(if missing { String::new() } else { self.name("the name of a value")? });
            if !self.eat(",") {
                break;
            }
        }
        Ok(names)
    }

    fn attributes(&mut self) -> Result<Vec<AttributeProto>, ParseError> {
        let mut attributes = Vec::new();
        self.expect("<")?;
        loop {
            attributes.push(self.attribute()?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of(">", "`,` or `>`")?;
        Ok(attributes)
    }

    fn attribute(&mut self) -> Result<AttributeProto, ParseError> {
        let name = self.name("the name of an attribute")?;
        let mut kind = None;
        if self.eat(":") {
            let known = spell::attribute_type(self.peek().text);
            let expected = "the type of an attribute, such as `int` or `floats`";
            kind = Some(known.ok_or_else(|| self.unexpected(expected))?);
            self.bump();
        }
        self.expect("=")?;
        let at = self.peek();
        let mut attribute = if self.is("[") { self.list(kind)? } else { self.single(&name)? };
        attribute.name = Some(name);
        if attribute.ref_attr_name.is_some() {
            attribute.r#type = kind.map(|kind| kind as i32);
            return Ok(attribute);
        }
        promote(&mut attribute, kind);
        let given = AttributeType::try_from(attribute.r#type.unwrap_or(0)).ok();
        match (kind, given) {
            (Some(kind), Some(given)) if kind != given => {
                let article = |kind| spell::attribute_type_name(kind).unwrap_or("nothing");
                let found = format!("a value of type {}", article(given));
                let expected = format!("one of type {}", article(kind));
                Err(ParseError::at(self.text, at.at, found, &expected))
            }
            _ => Ok(attribute),
        }
    }

    fn list(&mut self, kind: Option<AttributeType>) -> Result<AttributeProto, ParseError> {
        let mut attribute = AttributeProto::default();
        self.expect("[")?;
        if self.is("]") {
            use AttributeType::{Floats, Ints, Strings};
            let empty = kind.filter(|kind| matches!(kind, Floats | Ints | Strings));
            let Some(kind) = empty else {
                return Err(self.unexpected("an element, or `: ints` or the like before the `=`"));
            };
            self.bump();
            attribute.r#type = Some(kind as i32);
            return Ok(attribute);
        }
        let (mut numbers, mut whole) = (Vec::new(), true);
        loop {
            let token = self.peek();
            match token.kind {
                Kind::String if numbers.is_empty() => {
                    attribute.strings.push(self.string("a string")?.into());
                }
                Kind::Integer | Kind::Float if attribute.strings.is_empty() => {
                    numbers.push(token);
                    self.bump();
                }
                Kind::Name if attribute.strings.is_empty() && lex::is_float_word(token.text) => {
                    numbers.push(token);
                    self.bump();
                }
                _ => return Err(self.unexpected("numbers only or strings only, in a list")),
            }
            whole &= token.kind == Kind::Integer;
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of("]", "`,` or `]`")?;
        if !attribute.strings.is_empty() {
            attribute.r#type = Some(AttributeType::Strings as i32);
            return Ok(attribute);
        }
        let whole = whole && kind != Some(AttributeType::Floats);
        attribute.r#type =
            Some(if whole { AttributeType::Ints } else { AttributeType::Floats } as i32);
        for number in numbers {
            let expected = "a number of 64 bits, or 32 with a decimal point";
            let refused = || ParseError::at(self.text, number.at, number.description(), expected);
            if whole {
                attribute.ints.push(number.text.parse().map_err(|_| refused())?);
            } else {
                attribute.floats.push(number.text.parse().map_err(|_| refused())?);
            }
        }
        Ok(attribute)
    }

    fn single(&mut self, name: &str) -> Result<AttributeProto, ParseError> {
        let mut attribute = AttributeProto::default();
        let token = self.peek();
        let names_graph = matches!(token.kind, Kind::Name | Kind::String)
            && self.peek_after().text == "("
            && !self.type_is_next();
        let kind = if names_graph {
            let graph = self.name("the name of a graph")?;
            attribute.g = Some(Box::new(self.graph(graph)?));
            AttributeType::Graph
        } else if self.eat("@") {
            attribute.ref_attr_name = Some(self.name("an attribute of the function")?);
            AttributeType::Undefined
        } else if self.type_is_next() {
            return self.tensor_or_type(name);
        } else if token.kind == Kind::String {
            attribute.s = Some(self.string("a string")?.into());
            AttributeType::String
        } else if token.kind == Kind::Integer {
            attribute.i = Some(self.int()?);
            AttributeType::Int
        } else {
            let float = matches!(token.kind, Kind::Name | Kind::Float);
            let value = token.text.parse().ok().filter(|_| float);
            attribute.f = Some(value.ok_or_else(|| self.unexpected("the value of an attribute"))?);
            self.bump();
            AttributeType::Float
        };
        attribute.r#type = Some(kind as i32);
        Ok(attribute)
    }

    /// A type, or a tensor when a name or data follows.
    fn tensor_or_type(&mut self, attribute: &str) -> Result<AttributeProto, ParseError> {
        let at = self.peek().at;
        let ty = self.type_proto()?;
        let named = matches!(self.peek().kind, Kind::Name | Kind::String);
        if !named && !self.is("=") && !self.is("{") {
            return Ok(AttributeProto {
                r#type: Some(AttributeType::TypeProto as i32),
                tp: Some(Box::new(ty)),
                ..AttributeProto::default()
            });
        }
        let name = if named { self.name("the name of a tensor")? } else { attribute.to_owned() };
        let mut tensor = if self.eat("=") || self.is("{") {
            self.constant(&name, Some(&ty), at)?
        } else {
            self.seeded(&name, Some(&ty), at)?
        };
        // The name was for the data.
        tensor.name = None;
        Ok(AttributeProto {
            r#type: Some(AttributeType::Tensor as i32),
            t: Some(Box::new(tensor)),
            ..AttributeProto::default()
        })
    }

    /// A function of the model.
    pub(super) fn function(&mut self) -> Result<onnx::FunctionProto, ParseError> {
        let outer = std::mem::take(&mut self.domains);
        let mut function = onnx::FunctionProto::default();
        if self.eat("<") {
            loop {
                self.function_entry(&mut function)?;
                if !self.eat(",") {
                    break;
                }
            }
            self.expect_of(">", "`,` or `>`")?;
        }
        function.name = Some(self.name("the name of a function, or the end of the text")?);
        if self.eat("<") {
            loop {
                if matches!(self.peek_after().text, "=" | ":") {
                    function.attribute_proto.push(self.attribute()?);
                } else {
                    function.attribute.push(self.name("the name of an attribute")?);
                }
                if !self.eat(",") {
                    break;
                }
            }
            self.expect_of(">", "`,` or `>`")?;
        }
        function.input = self.function_values(&mut function.value_info)?;
        self.expect("=>")?;
        function.output = self.function_values(&mut function.value_info)?;
        if self.eat("<") {
            while !self.is(">") {
                function.value_info.push(self.value_info()?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect_of(">", "`,` or `>`")?;
        }
        function.node = self.nodes()?;
        if function.opset_import.is_empty() {
            function.opset_import = self.default_opsets();
        }
        self.domains = outer;
        Ok(function)
    }

    fn function_entry(&mut self, function: &mut onnx::FunctionProto) -> Result<(), ParseError> {
        let key = self.peek();
        if !matches!(key.text, "domain" | "overload" | "doc_string" | "opset_import") {
            return Err(self.unexpected("one of domain, overload, doc_string, opset_import"));
        }
        self.bump();
        self.expect(":")?;
        match key.text {
            "domain" => function.domain = Some(self.text_value()?),
            "overload" => function.overload = Some(self.text_value()?),
            "doc_string" => function.doc_string = Some(self.text_value()?),
            _ => function.opset_import = self.opset_import()?,
        }
        Ok(())
    }

    fn function_values(
        &mut self,
        infos: &mut Vec<onnx::ValueInfoProto>,
    ) -> Result<Vec<String>, ParseError> {
        let mut names = Vec::new();
        self.expect("(")?;
        while !self.is(")") {
            let info = self.value_info()?;
            names.push(info.name.clone().unwrap_or_default());
            infos.extend(info.r#type.is_some().then_some(info));
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of(")", "`,` or `)`")?;
        Ok(names)
    }
}

/// Makes a float of an integer where the type says so.
fn promote(attribute: &mut AttributeProto, kind: Option<AttributeType>) {
    if kind != Some(AttributeType::Float) || attribute.r#type != Some(AttributeType::Int as i32) {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "the type of the attribute is float")]
    let value = attribute.i.take().map(|value| value as f32);
    attribute.f = value;
    attribute.r#type = Some(AttributeType::Float as i32);
}
