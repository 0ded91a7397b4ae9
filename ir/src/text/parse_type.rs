//! Types, values with types, and constant data.
use super::data::{Bytes, numbers_per_element};
use super::lex::Kind;
use super::parse::{MAX_ELEMENTS, Parser};
use super::{ParseError, seed, spell};
use crate::{ElemType, Tensor, element_count, encode};
use lapidary_proto::onnx;
use onnx::tensor_shape_proto::{Dimension, dimension::Value as DimProto};
use onnx::type_proto::{self, Value as TypeValue};

const A_TYPE: &str = "a type, such as `float` or `int64[2]`";

impl Parser<'_> {
    /// Whether a type is next.
    pub(super) fn type_is_next(&self) -> bool {
        let token = self.peek();
        token.kind == Kind::Name && spell::is_type_name(token.text)
    }

    /// `float[1,N,?]`, `seq(float)` and so on.
    pub(super) fn type_proto(&mut self) -> Result<onnx::TypeProto, ParseError> {
        self.nested(|parser| {
            let value = match parser.peek().text {
                "seq" => TypeValue::SequenceType(Box::new(type_proto::Sequence {
                    elem_type: Some(parser.type_argument()?),
                })),
                "optional" => TypeValue::OptionalType(Box::new(type_proto::Optional {
                    elem_type: Some(parser.type_argument()?),
                })),
                "map" => parser.map_type()?,
                "sparse_tensor" => {
                    parser.bump();
                    parser.expect("(")?;
                    let type_proto::Tensor { elem_type, shape } = parser.tensor_type()?;
                    parser.expect(")")?;
                    TypeValue::SparseTensorType(type_proto::SparseTensor { elem_type, shape })
                }
                _ => TypeValue::TensorType(parser.tensor_type()?),
            };
            Ok(onnx::TypeProto { denotation: None, value: Some(value) })
        })
    }

    fn type_argument(&mut self) -> Result<Box<onnx::TypeProto>, ParseError> {
        self.bump();
        self.expect("(")?;
        let ty = self.type_proto()?;
        self.expect(")")?;
        Ok(Box::new(ty))
    }

    fn map_type(&mut self) -> Result<TypeValue, ParseError> {
        self.bump();
        self.expect("(")?;
        let key_type = Some(self.elem_type()?.0);
        self.expect(",")?;
        let value_type = Some(Box::new(self.type_proto()?));
        self.expect(")")?;
        Ok(TypeValue::MapType(Box::new(type_proto::Map { key_type, value_type })))
    }

    fn elem_type(&mut self) -> Result<ElemType, ParseError> {
        let token = self.peek();
        let known = ElemType::from_name(token.text).filter(|_| token.kind == Kind::Name);
        let elem_type = known.ok_or_else(|| self.unexpected(A_TYPE))?;
        self.bump();
        Ok(elem_type)
    }

    fn tensor_type(&mut self) -> Result<type_proto::Tensor, ParseError> {
        let elem_type = Some(self.elem_type()?.0);
        if !self.eat("[") {
            let shape = Some(onnx::TensorShapeProto::default());
            return Ok(type_proto::Tensor { elem_type, shape });
        }
        if self.eat("]") {
            return Ok(type_proto::Tensor { elem_type, shape: None });
        }
        let mut dim = Vec::new();
        loop {
            dim.push(Dimension { denotation: None, value: self.dim()? });
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of("]", "`,` or `]`")?;
        Ok(type_proto::Tensor { elem_type, shape: Some(onnx::TensorShapeProto { dim }) })
    }

    fn dim(&mut self) -> Result<Option<DimProto>, ParseError> {
        if self.eat("?") {
            return Ok(None);
        }
        Ok(Some(match self.peek().kind {
            Kind::Integer => DimProto::DimValue(self.int()?),
            Kind::Name | Kind::String => DimProto::DimParam(self.name("a dimension")?),
            _ => return Err(self.unexpected("a dimension: a number, a name or `?`")),
        }))
    }

    /// A name, usually with a type before it.
    pub(super) fn value_info(&mut self) -> Result<onnx::ValueInfoProto, ParseError> {
        let next = self.peek_after();
        let typed = next.text == "[" || matches!(next.kind, Kind::Name | Kind::String);
        if !self.type_is_next() && typed && self.peek().kind == Kind::Name {
            return Err(self.unexpected(A_TYPE));
        }
        let r#type = if self.type_is_next() { Some(self.type_proto()?) } else { None };
        let name = Some(self.name("the name of a value")?);
        Ok(onnx::ValueInfoProto { name, r#type, ..onnx::ValueInfoProto::default() })
    }

    /// The element type and dimensions of a constant whose type stands at `at`.
    fn constant_type(
        &self,
        ty: Option<&onnx::TypeProto>,
        at: usize,
    ) -> Result<(ElemType, Vec<i64>), ParseError> {
        let written = ty.and_then(spell::type_proto);
        let found = written.map_or_else(|| "no type".to_owned(), |text| format!("`{text}`"));
        let expected = "the type of a tensor whose dimensions are numbers, for a constant";
        let refused = || ParseError::at(self.text, at, found.clone(), expected);
        let Some(TypeValue::TensorType(tensor)) = ty.and_then(|ty| ty.value.as_ref()) else {
            return Err(refused());
        };
        let shape = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
        let number = |dim: &Dimension| match dim.value {
            Some(DimProto::DimValue(value)) if value >= 0 => Some(value),
            _ => None,
        };
        let dims = shape.iter().map(number).collect::<Option<Vec<i64>>>().ok_or_else(refused)?;
        if element_count(&dims).is_ok_and(|count| count <= MAX_ELEMENTS) {
            return Ok((ElemType(tensor.elem_type.unwrap_or_default()), dims));
        }
        let expected = format!("a constant of at most {MAX_ELEMENTS} elements");
        Err(ParseError::at(self.text, at, found, &expected))
    }

    /// The constant that a declaration without data at `at` stands for.
    pub(super) fn seeded(
        &self,
        name: &str,
        ty: Option<&onnx::TypeProto>,
        at: usize,
    ) -> Result<onnx::TensorProto, ParseError> {
        let (elem_type, dims) = self.constant_type(ty, at)?;
        let tensor = seed::seeded(name, elem_type, &dims)
            .map_err(|error| ParseError::at(self.text, at, error.to_string(), A_TYPE))?;
        Ok(encode::encode_tensor(&tensor, Some(name.to_owned())))
    }

    /// `{1, 2, 3}` for a constant whose type stands at `at`.
    pub(super) fn constant(
        &mut self,
        name: &str,
        ty: Option<&onnx::TypeProto>,
        at: usize,
    ) -> Result<onnx::TensorProto, ParseError> {
        if self.is("[") {
            return Err(self.unexpected("`{`: external data is not supported in text"));
        }
        let (elem_type, dims) = self.constant_type(ty, at)?;
        let open = self.peek().at;
        self.expect("{")?;
        let (mut bytes, mut strings, mut found) = (Bytes::default(), Vec::new(), 0);
        while !self.is("}") {
            if elem_type == ElemType::STRING {
                strings.push(self.string("a string")?.into());
            } else {
                let read = bytes.read(elem_type, &self.peek());
                read.map_err(|expected| {
                    self.unexpected(&format!("{expected}, for an element of type {elem_type}"))
                })?;
                self.bump();
            }
            found += 1;
            if !self.eat(",") {
                break;
            }
        }
        self.expect_of("}", "`,` or `}`")?;
        let expected = element_count(&dims).unwrap_or(0) * numbers_per_element(elem_type);
        let wrong = |found: String| {
            let ty = spell::tensor_type(elem_type, &dims);
            ParseError::at(self.text, open, found, &format!("{expected} for `{ty}`"))
        };
        if found != expected {
            return Err(wrong(format!("{found} elements")));
        }
        let tensor = match elem_type {
            ElemType::STRING => Tensor::from_strings(dims.clone(), strings),
            _ => Tensor::from_bytes(elem_type, dims.clone(), bytes.into_vec().into()),
        };
        let tensor = tensor.map_err(|error| wrong(error.to_string()))?;
        Ok(encode::encode_tensor(&tensor, Some(name.to_owned())))
    }
}
