//! Convolutions.
use super::site::Site;
use super::{Outputs, one};
use crate::{Dim, ElemType, ValueType};

/// How a window moves along one axis.
pub(super) struct Window {
    pub(super) kernel: Dim,
    pub(super) stride: i64,
    pub(super) dilation: i64,
    pub(super) begin: i64,
    pub(super) end: i64,
    pub(super) padding: Padding,
}

/// `auto_pad`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Padding {
    Explicit,
    Same,
    Valid,
}

/// The windows of all spatial axes; nothing when attributes are malformed.
pub(super) fn windows(site: &Site<'_>, kernel: &[Dim]) -> Option<Vec<Window>> {
    let axes = kernel.len();
    let list = |name: &str, default: i64, length: usize| match site.ints(name) {
        None => Some(vec![default; length]),
        Some([]) => Some(vec![default; length]),
        Some(values) => (values.len() == length).then(|| values.to_vec()),
    };
    let padding = match site.string("auto_pad") {
        None | Some("NOTSET" | "") => Padding::Explicit,
        Some("SAME_UPPER" | "SAME_LOWER") => Padding::Same,
        Some("VALID") => Padding::Valid,
        Some(_) => return None,
    };
    let strides = list("strides", 1, axes)?;
    let dilations = list("dilations", 1, axes)?;
    let pads = match padding {
        Padding::Explicit => list("pads", 0, axes * 2)?,
        _ => vec![0; axes * 2],
    };
    if strides.iter().chain(&dilations).any(|&value| value <= 0) {
        return None;
    }
    let window = |axis: usize| Window {
        kernel: kernel[axis].clone(),
        stride: strides[axis],
        dilation: dilations[axis],
        begin: pads[axis],
        end: pads[axis + axes],
        padding,
    };
    Some((0..axes).map(window).collect())
}

impl Window {
    /// `(kernel - 1) * dilation + 1`, the extent of the dilated kernel.
    pub(super) fn extent(&self) -> Dim {
        (self.kernel.clone() - 1.into()) * self.dilation.into() + 1.into()
    }

    /// Positions of the window in an input of size `dim`, from the specification of `Conv` and
    /// the pools:
    ///
    /// * explicit padding: `floor((dim + begin + end - extent) / stride) + 1`
    /// * `VALID`: the same without padding
    /// * `SAME_*`: `ceil(dim / stride)`
    pub(super) fn positions(&self, dim: &Dim) -> Dim {
        if self.padding == Padding::Same {
            return dim.ceil_div(self.stride);
        }
        if self.kernel.value().is_some_and(|kernel| kernel <= 0) {
            return Dim::UNKNOWN;
        }
        self.room(dim).floor_div(&self.stride.into()) + 1.into()
    }

    /// How far the window can move: `dim + begin + end - extent`.
    pub(super) fn room(&self, dim: &Dim) -> Dim {
        dim.clone() + self.begin.into() + self.end.into() - self.extent()
    }
}

pub(super) fn conv(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), conv_shape(site, 0, 1))
}

pub(super) fn conv_integer(site: &Site<'_>) -> Outputs {
    one(Some(ElemType::INT32), conv_shape(site, 0, 1))
}

/// Inputs: x, its scale and zero point, w, its scale and zero point, scale and zero point of y.
pub(super) fn qlinear_conv(site: &Site<'_>) -> Outputs {
    one(site.elem_type(7).or(site.elem_type(0)), conv_shape(site, 0, 3))
}

fn conv_shape(site: &Site<'_>, x: usize, w: usize) -> Option<Vec<Dim>> {
    let rank = site.rank(x).or(site.rank(w))?;
    if rank < 2 || site.rank(w).is_some_and(|other| other != rank) {
        return None;
    }
    let mut shape = vec![site.dim(x, 0), site.dim(w, 0)];
    let kernel = kernel(site, w, rank - 2)?;
    match windows(site, &kernel) {
        Some(windows) => {
            let spatial = windows.iter().enumerate();
            shape.extend(spatial.map(|(axis, window)| window.positions(&site.dim(x, axis + 2))));
        }
        None => shape.resize(rank, Dim::UNKNOWN),
    }
    Some(shape)
}

/// The kernel's size: the weight's where it is known, else the attribute.
fn kernel(site: &Site<'_>, w: usize, spatial: usize) -> Option<Vec<Dim>> {
    if site.rank(w).is_some() {
        let dims: Vec<Dim> = (0..spatial).map(|axis| site.dim(w, axis + 2)).collect();
        if dims.iter().all(|dim| !dim.is_unknown()) {
            return Some(dims);
        }
    }
    match site.ints("kernel_shape") {
        Some(sizes) if sizes.len() == spatial => {
            Some(sizes.iter().map(|&size| size.into()).collect())
        }
        Some(_) => None,
        None => Some(vec![Dim::UNKNOWN; spatial]),
    }
}

/// From the specification of `ConvTranspose`:
/// `stride * (dim - 1) + output_padding + extent - begin - end`, or `dim * stride` for `SAME_*`,
/// or `output_shape` where it is given.
pub(super) fn conv_transpose(site: &Site<'_>) -> Outputs {
    one(site.elem_type(0), conv_transpose_shape(site))
}

fn conv_transpose_shape(site: &Site<'_>) -> Option<Vec<Dim>> {
    let rank = site.rank(0).or(site.rank(1))?;
    if rank < 2 || site.rank(1).is_some_and(|other| other != rank) {
        return None;
    }
    let spatial = rank - 2;
    let mut shape = vec![site.dim(0, 0), site.dim(1, 1) * site.int("group", 1).into()];
    if let Some(sizes) = site.ints("output_shape").filter(|sizes| !sizes.is_empty()) {
        let sizes = sizes.get(sizes.len().checked_sub(spatial)?..)?;
        shape.extend(sizes.iter().map(|&size| Dim::from(size)));
        return Some(shape);
    }
    let kernel = kernel(site, 1, spatial)?;
    let extra = match site.ints("output_padding") {
        Some(extra) if extra.len() == spatial => extra.to_vec(),
        Some(extra) if !extra.is_empty() => return None,
        _ => vec![0; spatial],
    };
    let Some(windows) = windows(site, &kernel) else {
        shape.resize(rank, Dim::UNKNOWN);
        return Some(shape);
    };
    for (axis, (window, extra)) in windows.iter().zip(extra).enumerate() {
        let dim = site.dim(0, axis + 2);
        let stride = Dim::from(window.stride);
        shape.push(match window.padding {
            Padding::Same => dim * stride,
            _ => {
                let padding = Dim::from(window.begin) + window.end.into();
                (dim - 1.into()) * stride + extra.into() + window.extent() - padding
            }
        });
    }
    Some(shape)
}

/// `[batch, channels / product(block), image...]`.
pub(super) fn col2im(site: &Site<'_>) -> Outputs {
    let image = || {
        let block: Dim = site.elements(2)?.iter().cloned().product();
        let channels = site.dim(0, 1).floor_div(&block);
        let lead = [site.dim(0, 0), channels];
        Some(lead.into_iter().chain(site.elements(1)?.iter().cloned()).collect())
    };
    Some(vec![ValueType::tensor(site.elem_type(0), image())])
}
