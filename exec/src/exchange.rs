//! Tensors to the runtime's and back.
use lapidary_ir::{ElemType, Tensor};
use std::borrow::Cow;
use tract_onnx::prelude::{DatumType, Tensor as Native, TractError, TractResult, f16};
use tract_onnx::tract_core::internal::{TractErrorContext, format_err};

/// The runtime's type, if it has one for numbers of that type.
pub(crate) fn datum_type(elem_type: ElemType) -> Option<DatumType> {
    Some(match elem_type {
        ElemType::FLOAT => DatumType::F32,
        ElemType::DOUBLE => DatumType::F64,
        ElemType::FLOAT16 => DatumType::F16,
        ElemType::INT8 => DatumType::I8,
        ElemType::INT16 => DatumType::I16,
        ElemType::INT32 => DatumType::I32,
        ElemType::INT64 => DatumType::I64,
        ElemType::UINT8 => DatumType::U8,
        ElemType::UINT16 => DatumType::U16,
        ElemType::UINT32 => DatumType::U32,
        ElemType::UINT64 => DatumType::U64,
        ElemType::BOOL => DatumType::Bool,
        _ => return None,
    })
}

/// Copies a tensor for the runtime.
pub(crate) fn to_native(tensor: &Tensor) -> TractResult<Native> {
    let shape: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
    macro_rules! copy {
        ($($constant:ident => $ty:ty),*) => {
            match tensor.elem_type() {
                $(ElemType::$constant => {
                    let values = tensor.to_vec::<$ty>().context("the type was just matched")?;
                    Native::from_shape(&shape, &values)
                })*
                other => Err(format_err!("element type {other} is not supported")),
            }
        };
    }
    copy!(FLOAT => f32, DOUBLE => f64, FLOAT16 => f16, INT8 => i8, INT16 => i16, INT32 => i32,
        INT64 => i64, UINT8 => u8, UINT16 => u16, UINT32 => u32, UINT64 => u64, BOOL => bool)
}

/// Copies a tensor of the runtime.
pub(crate) fn from_native(native: &Native) -> TractResult<Tensor> {
    // Shapes flow through the runtime as symbolic integers.
    let native = if native.datum_type() == DatumType::TDim {
        native.cast_to::<i64>()?
    } else {
        Cow::Borrowed(native)
    };
    let dims: Vec<i64> = native.shape().iter().map(|&dim| dim as i64).collect();
    let view = native.try_as_plain_ram()?;
    macro_rules! copy {
        ($($datum:ident => $ty:ty),*) => {
            match native.datum_type().unquantized() {
                $(DatumType::$datum => Ok(Tensor::new(&dims, view.as_slice::<$ty>()?)),)*
                other => Err(format_err!("values of type {other:?} have no ONNX type")),
            }
        };
    }
    copy!(F32 => f32, F64 => f64, F16 => f16, I8 => i8, I16 => i16, I32 => i32, I64 => i64,
        U8 => u8, U16 => u16, U32 => u32, U64 => u64, Bool => bool)
}

/// The elements of a floating-point tensor of the runtime; nothing for other types.
pub(crate) fn floats(native: &Native) -> Result<Option<Cow<'_, [f32]>>, TractError> {
    let view = match native.datum_type() {
        DatumType::F32 | DatumType::F64 | DatumType::F16 => native.try_as_plain_ram()?,
        _ => return Ok(None),
    };
    Ok(Some(match native.datum_type() {
        DatumType::F32 => Cow::Borrowed(view.as_slice::<f32>()?),
        DatumType::F16 => view.as_slice::<f16>()?.iter().map(|value| value.to_f32()).collect(),
        _ => view.as_slice::<f64>()?.iter().map(|&value| value as f32).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_survives_the_round_trip() {
        let tensors = [
            Tensor::new(&[2, 2], &[1.5f32, -0.0, f32::NAN, f32::INFINITY]),
            Tensor::new(&[1], &[1e300f64]),
            Tensor::new(&[2], &[f16::from_f32(0.5), f16::from_f32(-2.0)]),
            Tensor::new(&[2], &[-128i8, 127]),
            Tensor::new(&[2], &[-32768i16, 32767]),
            Tensor::new(&[2], &[i32::MIN, i32::MAX]),
            Tensor::new(&[2], &[i64::MIN, i64::MAX]),
            Tensor::new(&[2], &[0u8, 255]),
            Tensor::new(&[1], &[u16::MAX]),
            Tensor::new(&[1], &[u32::MAX]),
            Tensor::new(&[1], &[u64::MAX]),
            Tensor::new(&[2], &[true, false]),
            Tensor::scalar(7i64),
            Tensor::new::<f32>(&[0, 3], &[]),
        ];
        for tensor in tensors {
            let native = to_native(&tensor).expect("the type is supported");
            assert_eq!(Some(native.datum_type()), datum_type(tensor.elem_type()));
            let back = from_native(&native).expect("the type is supported");
            assert!(back.same_content(&tensor), "{}", tensor.elem_type());
        }
    }

    #[test]
    fn halves_and_doubles_are_read_as_floats() {
        let native = to_native(&Tensor::new(&[2], &[1.5f64, -2.0])).expect("supported");
        assert_eq!(floats(&native).expect("plain").as_deref(), Some(&[1.5f32, -2.0][..]));
        let native = to_native(&Tensor::scalar(f16::from_f32(0.25))).expect("supported");
        assert_eq!(floats(&native).expect("plain").as_deref(), Some(&[0.25f32][..]));
        let native = to_native(&Tensor::scalar(3i32)).expect("supported");
        assert_eq!(floats(&native).expect("plain"), None);
    }
}
