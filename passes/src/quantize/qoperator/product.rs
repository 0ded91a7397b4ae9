//! Products with weights.
use super::super::pairs::{Conversion, dequantizer};
use super::super::weight::quantize_bias;
use super::Written;
use super::unit::{Parts, Reason, Unit};
use lapidary_ir::{ElemType, NewNode, Operand, Patch, ValueId};

/// Relative difference of scales that are the same but for rounding.
const SAME_SCALE: f32 = 1e-6;

/// With x = sₓ (qₓ − zₓ), w = s_w q_w and b = sₓ s_w q_b, per output channel:
///
/// q_y = z_y + round(sₓ s_w / s_y · (Σ (qₓ − zₓ) q_w + q_b)).
pub(super) fn conv(unit: &Unit<'_>) -> Result<Written, Reason> {
    let operator = unit.operator("QLinearConv")?;
    let (x, w) = (unit.operand(0)?, weights(unit, Some(0))?);
    let result = unit.result()?;
    unit.same_type(&[x, result])?;
    if x.elem_type == Some(ElemType::INT8) && w.elem_type == Some(ElemType::UINT8) {
        return Err("int8 is not multiplied by uint8".into());
    }
    let mut patch = Patch::default();
    let bias = bias(unit, &mut patch, x, w)?;
    let parts = Parts { operands: &[x, w], bias, result: Some(result) };
    unit.write(patch, operator, &parts, |node| node)
}

/// Of a matrix; the scales may be per column of the right one.
pub(super) fn mat_mul(unit: &Unit<'_>) -> Result<Written, Reason> {
    let matrix = unit.node.input(1).and_then(|b| unit.graph.ty(b).rank()) == Some(2);
    let (a, b) = (unit.operand(0)?, weights(unit, matrix.then_some(1))?);
    let (operator, result) = match unit.result() {
        Ok(result) => (unit.operator("QLinearMatMul")?, Some(result)),
        Err(_) => {
            let operator = unit.operator("MatMulIntegerToFloat");
            (operator.map_err(|_| "ONNX has no product of integers that writes numbers")?, None)
        }
    };
    if let Some(result) = result {
        unit.same_type(&[a, result])?;
    }
    let parts = Parts { operands: &[a, b], bias: None, result };
    unit.write(Patch::default(), operator, &parts, |node| node)
}

/// ONNX has no product of matrices of integers with a bias, ONNX Runtime has.
pub(super) fn gemm(unit: &Unit<'_>) -> Result<Written, Reason> {
    let node = unit.node;
    let one = |name| node.float(name).unwrap_or(1.0) == 1.0;
    if !one("alpha") || (!one("beta") && node.input(2).is_some()) {
        return Err("alpha or beta is not 1".into());
    }
    if node.int("transA").unwrap_or(0) != 0 {
        return Err("the left operand is transposed".into());
    }
    let transposed = node.int("transB").unwrap_or(0) != 0;
    let (a, b) = (unit.operand(0)?, weights(unit, Some(usize::from(!transposed)))?);
    if !unit.microsoft {
        return product_of_onnx(unit, a, b, transposed);
    }
    let operator = unit.operator("QGemm")?;
    // What is not quantized behind it is written as numbers.
    let result = unit.result().ok();
    if let Some(result) = result {
        unit.same_type(&[a, result])?;
    }
    let mut patch = Patch::default();
    let bias = bias(unit, &mut patch, a, b)?;
    let parts = Parts { operands: &[a, b], bias, result };
    unit.write(patch, operator, &parts, |node| node.without_attribute("beta"))
}

fn product_of_onnx(
    unit: &Unit<'_>,
    a: Conversion,
    b: Conversion,
    transposed: bool,
) -> Result<Written, Reason> {
    if unit.node.input(2).is_some() {
        return Err("ONNX has no product of integers with a bias but QLinearConv".into());
    }
    if transposed {
        return Err("QLinearMatMul does not transpose".into());
    }
    let (operator, result) = (unit.operator("QLinearMatMul")?, unit.result()?);
    unit.same_type(&[a, result])?;
    let parts = Parts { operands: &[a, b], bias: None, result: Some(result) };
    let plain = |node: NewNode| {
        ["alpha", "beta", "transA", "transB"]
            .iter()
            .fold(node, |node, name| node.without_attribute(name))
    };
    unit.write(Patch::default(), operator, &parts, plain)
}

/// The right operand, with one scale or, where the operator allows it, one for each output channel.
fn weights(unit: &Unit<'_>, channels: Option<usize>) -> Result<Conversion, Reason> {
    let found = unit.conversion(1)?;
    if found.is_per_tensor(unit.graph) {
        return Ok(found);
    }
    let name = unit.name(Some(unit.integers(found)?));
    let node = &unit.graph[found.id];
    if node.int("block_size").unwrap_or(0) != 0 {
        return Err(format!("`{name}` has scales per block"));
    }
    let scales = found.scale.and_then(|scale| unit.graph.constant(scale));
    let scales = scales.ok_or_else(|| format!("the scales of `{name}` are not constant"))?;
    let dims = unit.graph.ty(unit.integers(found)?).dims();
    let dims = dims.ok_or_else(|| format!("the shape of `{name}` is not known"))?;
    let axis = node.int("axis").unwrap_or(1);
    let axis = if axis < 0 { axis + dims.len() as i64 } else { axis };
    let along = channels.filter(|&channels| channels as i64 == axis);
    if along.and_then(|along| dims.get(along)) != Some(&(scales.len() as i64)) {
        return Err(format!("`{name}` has no scales per output channel"));
    }
    let zero_points = found.zero_point.map(|zero_point| unit.graph.constant(zero_point)?.to_i64());
    match zero_points.as_ref().map(|found| found.as_deref()) {
        None => Ok(found),
        Some(Some([first, others @ ..])) if others.iter().all(|other| other == first) => Ok(found),
        Some(_) => Err(format!("`{name}` has different zero points")),
    }
}

/// The bias in steps of sₓ · s_w, which is how operators on integers read it.
fn bias(
    unit: &Unit<'_>,
    patch: &mut Patch,
    x: Conversion,
    w: Conversion,
) -> Result<Option<Operand>, Reason> {
    let Some(bias) = unit.node.input(2) else { return Ok(None) };
    let name = unit.name(Some(bias));
    let scale = |conversion: Conversion| unit.graph.constant(conversion.scale?)?.to_f32();
    let products = scale(x).zip(scale(w)).and_then(|(x, w)| {
        let &[x] = x.as_slice() else { return None };
        Some(w.iter().map(|w| x * w).collect::<Vec<f32>>())
    });
    let steps = products.ok_or_else(|| format!("the steps of the bias `{name}` are not known"))?;
    match dequantizer(unit.graph, bias) {
        Some(found) => integer_bias(unit, found, &steps, &name).map(|bias| Some(bias.into())),
        None => {
            let quantized = float_bias(unit, bias, &steps, &name)?;
            Ok(Some(patch.initializer(format!("{name}_quantized"), quantized)))
        }
    }
}

/// A bias that is `int32` already, in these steps.
fn integer_bias(
    unit: &Unit<'_>,
    found: Conversion,
    steps: &[f32],
    name: &str,
) -> Result<ValueId, Reason> {
    let integers = unit.integers(found)?;
    if found.elem_type != Some(ElemType::INT32) {
        return Err(format!("the bias `{name}` is not int32"));
    }
    let constant = |value: Option<ValueId>| unit.graph.constant(value?);
    let scales = constant(found.scale).and_then(|scales| scales.to_f32());
    let scales =
        scales.ok_or_else(|| format!("the scales of the bias `{name}` are not constant"))?;
    let zero = found.zero_point.is_none()
        || constant(found.zero_point)
            .and_then(|zeros| zeros.to_i64())
            .is_some_and(|zeros| zeros.iter().all(|&zero| zero == 0));
    let count = scales.len().max(steps.len());
    let mut pairs = scales.iter().cycle().zip(steps.iter().cycle()).take(count);
    let same = pairs.all(|(found, step)| (found - step).abs() <= SAME_SCALE * step.abs());
    if !zero || !same || unit.graph.ty(integers).rank() != Some(1) {
        return Err(format!("the bias `{name}` is not in steps of the products"));
    }
    Ok(integers)
}

/// A constant bias as `int32`, if it fits.
fn float_bias(
    unit: &Unit<'_>,
    bias: ValueId,
    steps: &[f32],
    name: &str,
) -> Result<lapidary_ir::Tensor, Reason> {
    let tensor = unit.graph.constant(bias);
    let tensor = tensor.ok_or_else(|| format!("the bias `{name}` is not constant"))?;
    let numbers = tensor.to_vec::<f32>().filter(|_| tensor.rank() == 1);
    let numbers =
        numbers.ok_or_else(|| format!("the bias `{name}` is not one number per channel"))?;
    let most = f64::from(i32::MAX);
    let mut entries = numbers.iter().zip(steps.iter().cycle());
    if !entries.all(|(&number, &step)| (f64::from(number) / f64::from(step)).abs() <= most) {
        return Err(format!("the bias `{name}` does not fit into int32"));
    }
    quantize_bias(tensor, steps).ok_or_else(|| format!("the bias `{name}` is not float"))
}
