//! Quantization.
use super::site::Site;
use super::{Outputs, one};
use crate::{Dim, ElemType, ValueType};

/// The type is that of the zero point, else `output_dtype`, else `uint8`.
pub(super) fn quantize(site: &Site<'_>) -> Outputs {
    let elem_type = if site.has_input(2) {
        site.elem_type(2)
    } else {
        Some(site.elem_type_attribute("output_dtype").unwrap_or(ElemType::UINT8))
    };
    one(elem_type, site.shape(0).map(<[Dim]>::to_vec))
}

/// The type is `output_dtype`, else that of the scale.
pub(super) fn dequantize(site: &Site<'_>) -> Outputs {
    let elem_type = site.elem_type_attribute("output_dtype").or(site.elem_type(1));
    one(elem_type, site.shape(0).map(<[Dim]>::to_vec))
}

/// Quantized data, scale and zero point.
pub(super) fn dynamic(site: &Site<'_>) -> Outputs {
    let scalar = |elem_type| ValueType::tensor(Some(elem_type), Some(Vec::new()));
    let data = ValueType::tensor(Some(ElemType::UINT8), site.shape(0).map(<[Dim]>::to_vec));
    Some(vec![data, scalar(ElemType::FLOAT), scalar(ElemType::UINT8)])
}
