//! Writes weights and what restores them into a patch.
use super::blocks::Blocks;
use super::codebook::Codebook;
use super::grid::Grid;
use super::n_bits;
use super::normal_float::{NF4, NormalFloat};
use super::pack::pack;
use super::site::Weight;
use super::{WeightFormat, WeightOptions};
use crate::quantize::matrix::transposed;
use crate::quantize::outcome::{StoredWeight, nmse};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Operand, Patch, Tensor};

/// Bytes of names and nodes that a stored weight costs besides its data.
const OVERHEAD: u64 = 256;

/// The numbers of a block of [`WeightFormat::NormalFloat`] when the caller does not say.
const NORMAL_FLOAT_BLOCK: usize = 64;

/// A weight as it is to be stored.
pub(super) struct Encoded {
    codes: Codes,
    /// The numbers that are restored, in the order of the weight.
    pub(super) restored: Vec<f32>,
    pub(super) stored: StoredWeight,
}

enum Codes {
    Blocks(Blocks, Grid),
    Codebook(Codebook),
    NormalFloat(NormalFloat),
}

/// Encodes a weight, or says why it stays.
pub(super) fn encode(
    graph: &Graph,
    weight: &Weight,
    options: &WeightOptions,
) -> Result<Encoded, &'static str> {
    let numbers: Vec<f32> = weight.tensor.to_vec().unwrap_or_default();
    if !numbers.iter().all(|number| number.is_finite()) {
        return Err("its weights are not all finite");
    }
    let (codes, restored) = match options.format {
        WeightFormat::Codebook { bits } => {
            let book = Codebook::new(&numbers, 1 << bits).ok_or("it has no weights")?;
            let restored = book.restored();
            (Codes::Codebook(book), restored)
        }
        WeightFormat::NormalFloat => {
            let block = options.block.unwrap_or(NORMAL_FLOAT_BLOCK);
            let codes = NormalFloat::new(&numbers, block);
            let codes = codes.ok_or("no block of 16 numbers or more divides its weights")?;
            let restored = codes.restored();
            (Codes::NormalFloat(codes), restored)
        }
        WeightFormat::Dequantize | WeightFormat::MatMulNBits { .. } => {
            let (blocks, grid) = blocks(weight, &numbers, options)?;
            let mut restored = blocks.restored();
            if !weight.channels_first {
                restored = transposed(&restored, blocks.rows);
            }
            (Codes::Blocks(blocks, grid), restored)
        }
    };
    let (form, bytes_after) = size(&codes, options);
    let bytes_before = weight.tensor.byte_len();
    if bytes_after + OVERHEAD >= bytes_before {
        return Err("its weights would not take fewer bytes");
    }
    let name = graph.value(weight.value).name().to_owned();
    let nmse = nmse(&numbers, &restored);
    let stored = StoredWeight { name, form, bytes_before, bytes_after, nmse };
    Ok(Encoded { codes, restored, stored })
}

/// The rows of a weight are its channels.
fn blocks(
    weight: &Weight,
    numbers: &[f32],
    options: &WeightOptions,
) -> Result<(Blocks, Grid), &'static str> {
    let grid = Grid::of(options.elem_type).ok_or("there is no such type of weights")?;
    let dims = weight.tensor.dims();
    let rows = dims[usize::from(!weight.channels_first)] as usize;
    let turned;
    let matrix = if weight.channels_first {
        numbers
    } else {
        turned = transposed(numbers, dims[0] as usize);
        &turned
    };
    let width = matrix.len() / rows.max(1);
    let whole = options.format == WeightFormat::Dequantize;
    let block = match options.block {
        Some(block) if block < width || !whole => block,
        _ => width,
    };
    let blocks = Blocks::new(matrix, rows, block, grid, options.symmetric, options.search);
    Ok((blocks.ok_or("it has no weights")?, grid))
}

/// How a weight is called and the bytes it takes.
fn size(codes: &Codes, options: &WeightOptions) -> (String, u64) {
    match codes {
        Codes::Blocks(blocks, grid) => {
            let bytes = |count: usize| (count * grid.bits as usize).div_ceil(8);
            let points = if options.symmetric { 0 } else { bytes(blocks.fits.len()) };
            let padded = blocks.per_row() * blocks.block;
            let codes = match options.format {
                WeightFormat::MatMulNBits { .. } => bytes(blocks.rows * padded),
                _ => bytes(blocks.codes.len()),
            };
            let form = format!("{}, blocks of {}", options.elem_type, blocks.block);
            (form, (codes + 4 * blocks.fits.len() + points) as u64)
        }
        Codes::Codebook(book) => {
            let codes = match options.format {
                WeightFormat::Codebook { bits: ..=4 } => book.codes.len().div_ceil(2),
                _ => book.codes.len(),
            };
            let form = format!("codebook of {}", book.centers.len());
            (form, (codes + 4 * book.centers.len()) as u64)
        }
        Codes::NormalFloat(codes) => {
            let bytes = codes.codes.len().div_ceil(2) + 4 * (codes.scales.len() + NF4.len());
            (format!("nf4, blocks of {}", codes.block), bytes as u64)
        }
    }
}

/// Stores a weight and lets its readers read what is restored from it.
pub(super) fn emit(
    graph: &Graph,
    patch: &mut Patch,
    weight: &Weight,
    encoded: &Encoded,
    options: &WeightOptions,
) {
    let name = graph.value(weight.value).name();
    let restored = match &encoded.codes {
        Codes::Blocks(blocks, grid) => match options.format {
            WeightFormat::MatMulNBits { accuracy_level } => {
                let stored = store_n_bits(patch, name, blocks, *grid, options);
                let node = n_bits::node(blocks, *grid, accuracy_level);
                for &(id, _) in &weight.readers {
                    multiply(graph, patch, id, &node, &stored);
                }
                return;
            }
            _ => dequantize(patch, name, weight, blocks, options),
        },
        Codes::Codebook(book) => look_up(patch, name, weight, book, options),
        Codes::NormalFloat(codes) => scale(patch, name, weight, codes),
    };
    for &(id, slot) in &weight.readers {
        patch.set_input(id, slot, Some(restored));
    }
}

/// Integers of a type in any dimensions.
fn integers(elem_type: ElemType, dims: &[i64], codes: &[i16]) -> Tensor {
    let bits = elem_type.bits().expect("integers have a width") as u32;
    let bytes = pack(codes, bits).into();
    Tensor::from_bytes(elem_type, dims.to_vec(), bytes).expect("there is a code per element")
}

/// `DequantizeLinear`, along the inputs of each channel in blocks, or a pair per channel.
fn dequantize(
    patch: &mut Patch,
    name: &str,
    weight: &Weight,
    blocks: &Blocks,
    options: &WeightOptions,
) -> Operand {
    let (rows, width, per_row) = (blocks.rows, blocks.width, blocks.per_row());
    let dims = weight.tensor.dims();
    let scales: Vec<f32> = blocks.fits.iter().map(|fit| fit.scale).collect();
    let points: Vec<i16> = blocks.fits.iter().map(|fit| fit.zero_point).collect();
    let by_channel = per_row == 1;
    let flat = dims.len() > 2 && !by_channel;
    let (codes, scales, points) = if weight.channels_first {
        (blocks.codes.clone(), scales, points)
    } else {
        let turn = |points: &[i16]| transposed(points, rows);
        (turn(&blocks.codes), transposed(&scales, rows), turn(&points))
    };
    let channel_axis = usize::from(!weight.channels_first);
    let mut block_dims = [0; 2];
    block_dims[channel_axis] = rows as i64;
    block_dims[1 - channel_axis] = per_row as i64;
    let parameter_dims = if by_channel { &[rows as i64][..] } else { &block_dims };
    let code_dims = if flat { vec![rows as i64, width as i64] } else { dims.to_vec() };
    let axis = if by_channel { channel_axis } else { 1 - channel_axis };
    let codes = integers(options.elem_type, &code_dims, &codes);
    let codes = patch.initializer(format!("{name}_quantized"), codes);
    let scales = Tensor::new(parameter_dims, &scales);
    let scales = patch.initializer(format!("{name}_scale"), scales);
    let mut node = NewNode::new("DequantizeLinear").named(format!("{name}_DequantizeLinear"));
    node = node.attribute("axis", axis as i64).input(codes).input(scales);
    if !by_channel {
        node = node.attribute("block_size", blocks.block as i64);
    }
    if !options.symmetric || points.iter().any(|&point| point != 0) {
        let points = integers(options.elem_type, parameter_dims, &points);
        node = node.input(patch.initializer(format!("{name}_zero_point"), points));
    }
    let restored = patch.node(node.output_name(format!("{name}_dequantized")));
    if flat { reshape(patch, name, restored, dims) } else { restored }
}

fn reshape(patch: &mut Patch, name: &str, operand: Operand, dims: &[i64]) -> Operand {
    let shape = patch.initializer(format!("{name}_shape"), Tensor::vector(dims));
    let node = NewNode::new("Reshape").named(format!("{name}_Reshape")).input(operand).input(shape);
    patch.node(node.output_name(format!("{name}_restored")))
}

/// Indices of four bits or eight, as the indices `Gather` takes.
fn indices(patch: &mut Patch, name: &str, tensor: Tensor) -> Operand {
    let indices = patch.initializer(format!("{name}_indices"), tensor);
    let cast = NewNode::new("Cast").named(format!("{name}_Cast")).input(indices);
    let cast = cast.attribute("to", i64::from(ElemType::INT32.0));
    patch.node(cast.output_name(format!("{name}_cast")))
}

/// `Gather` from the centers.
fn look_up(
    patch: &mut Patch,
    name: &str,
    weight: &Weight,
    book: &Codebook,
    options: &WeightOptions,
) -> Operand {
    let few = matches!(options.format, WeightFormat::Codebook { bits: ..=4 });
    let elem_type = if few { ElemType::UINT4 } else { ElemType::UINT8 };
    let codes = integers(elem_type, weight.tensor.dims(), &book.codes);
    let codes = indices(patch, name, codes);
    let centers = patch.initializer(format!("{name}_codebook"), Tensor::vector(&book.centers));
    let node = NewNode::new("Gather").named(format!("{name}_Gather")).input(centers).input(codes);
    patch.node(node.output_name(format!("{name}_restored")))
}

/// `Gather` from the quantiles, times the scale of a block.
fn scale(patch: &mut Patch, name: &str, weight: &Weight, codes: &NormalFloat) -> Operand {
    let count = codes.scales.len() as i64;
    let tensor = integers(ElemType::UINT4, &[count, codes.block as i64], &codes.codes);
    let indices = indices(patch, name, tensor);
    let table = patch.initializer("nf4", Tensor::vector(&NF4));
    let node = NewNode::new("Gather").named(format!("{name}_Gather")).input(table).input(indices);
    let parts = patch.node(node.output_name(format!("{name}_parts")));
    let scales = Tensor::new(&[count, 1], &codes.scales);
    let scales = patch.initializer(format!("{name}_scale"), scales);
    let node = NewNode::new("Mul").named(format!("{name}_Mul")).input(parts).input(scales);
    let restored = patch.node(node.output_name(format!("{name}_scaled")));
    reshape(patch, name, restored, weight.tensor.dims())
}

/// Codes, scales and zero points of `MatMulNBits`.
fn store_n_bits(
    patch: &mut Patch,
    name: &str,
    blocks: &Blocks,
    grid: Grid,
    options: &WeightOptions,
) -> Vec<Operand> {
    let layout = n_bits::layout(blocks, grid);
    let (rows, per_row) = (blocks.rows as i64, blocks.per_row() as i64);
    let block_bytes = (blocks.block * grid.bits as usize / 8) as i64;
    let codes = Tensor::new(&[rows, per_row, block_bytes], &layout.codes);
    let scales: Vec<f32> = blocks.fits.iter().map(|fit| fit.scale).collect();
    let mut inputs = vec![
        patch.initializer(format!("{name}_quantized"), codes),
        patch.initializer(format!("{name}_scale"), Tensor::new(&[rows, per_row], &scales)),
    ];
    if !options.symmetric {
        let packed = layout.zero_points.len() as i64 / rows;
        let points = Tensor::new(&[rows, packed], &layout.zero_points);
        inputs.push(patch.initializer(format!("{name}_zero_point"), points));
    }
    inputs
}

/// Replaces a product, and an `Add` takes its bias.
fn multiply(graph: &Graph, patch: &mut Patch, id: NodeId, product: &NewNode, stored: &[Operand]) {
    let node = &graph[id];
    let (Some(a), Some(y)) = (node.input(0), node.output(0)) else { return };
    let product =
        stored.iter().fold(product.clone().input(a), |node, &operand| node.input(operand));
    let name = graph.value(y).name();
    let mut result = patch.node(product.output_name(format!("{name}_product")));
    if let Some(bias) = node.input(2) {
        result = patch.node(NewNode::new("Add").input(result).input(bias));
    }
    patch.replace(y, result);
}
