//! Where in its input a product finds the numbers it multiplies.
use lapidary_ir::Node;

/// The windows of a product over one input: for every position of the output the K numbers that are multiplied
/// by a row of the weights, in the order of the weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Windows {
    /// Entries on the axis of samples; for matrices the rows of all axes but the last.
    samples: usize,
    /// Channels of the input; for matrices the columns.
    channels: usize,
    /// The spatial axes; none for matrices.
    axes: Vec<Axis>,
}

/// A spatial axis of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Zeros before the first entry.
    begin: usize,
}

impl Windows {
    /// The rows of a matrix product's left operand.
    pub(crate) fn rows(dims: &[usize]) -> Option<Self> {
        let (&channels, outer) = dims.split_last()?;
        Some(Self { samples: outer.iter().product(), channels, axes: Vec::new() })
    }

    /// The windows of a Conv with spatial kernel dimensions `kernel` over an input of `dims`.
    ///
    /// output = ⌊(input + pads − dilation · (kernel − 1) − 1) / stride⌋ + 1, with `auto_pad` = SAME output =
    /// ⌈input / stride⌉.
    pub(crate) fn conv(node: &Node, kernel: &[i64], dims: &[usize]) -> Option<Self> {
        let (&[samples, channels], spatial) = dims.split_first_chunk::<2>()?;
        if spatial.len() != kernel.len() {
            return None;
        }
        let number = |name: &str, index: usize, default: usize| match node.ints(name) {
            Some(numbers) => usize::try_from(*numbers.get(index)?).ok(),
            None => Some(default),
        };
        let auto = node.string("auto_pad").unwrap_or("NOTSET");
        let axis = |(index, (&input, &kernel)): (usize, (&usize, &i64))| {
            let kernel = usize::try_from(kernel).ok().filter(|&kernel| kernel > 0)?;
            let stride = number("strides", index, 1).filter(|&stride| stride > 0)?;
            let dilation = number("dilations", index, 1)?;
            let reach = dilation * (kernel - 1) + 1;
            let explicit = auto == "NOTSET";
            let pad = |index: usize| if explicit { number("pads", index, 0) } else { Some(0) };
            let (mut begin, end) = (pad(index)?, pad(index + spatial.len())?);
            let output = if auto.starts_with("SAME") {
                let output = input.div_ceil(stride);
                let padding = ((output.checked_sub(1)?) * stride + reach).saturating_sub(input);
                begin = if auto == "SAME_UPPER" { padding / 2 } else { padding.div_ceil(2) };
                output
            } else {
                (input + begin + end).checked_sub(reach)? / stride + 1
            };
            Some(Axis { input, output, kernel, stride, dilation, begin })
        };
        let axes = spatial.iter().zip(kernel).enumerate().map(axis).collect::<Option<_>>()?;
        Some(Self { samples, channels, axes })
    }

    /// The positions of the output, in all samples.
    pub(crate) fn positions(&self) -> usize {
        self.samples * self.area()
    }

    /// The numbers in a window, over all groups.
    pub(crate) fn width(&self) -> usize {
        self.channels * self.axes.iter().map(|axis| axis.kernel).product::<usize>()
    }

    fn area(&self) -> usize {
        self.axes.iter().map(|axis| axis.output).product()
    }

    /// For every number of a window in one channel, the share of positions where it is none of the zeros around the input.
    pub(crate) fn shares_inside(&self) -> Vec<f64> {
        let mut shares = vec![1.0];
        for axis in &self.axes {
            let inside = |tap: usize| {
                let entry = |position: usize| {
                    (position * axis.stride + tap * axis.dilation).checked_sub(axis.begin)
                };
                let within = |position: &usize| entry(*position).is_some_and(|at| at < axis.input);
                (0..axis.output).filter(within).count() as f64 / axis.output.max(1) as f64
            };
            let taps: Vec<f64> = (0..axis.kernel).map(inside).collect();
            shares =
                shares.iter().flat_map(|share| taps.iter().map(move |tap| share * tap)).collect();
        }
        shares
    }

    /// Writes what `change` makes of the window at `position` into `row`, which is of [`Windows::width`]; what
    /// lies in the padding is 0.
    pub(crate) fn read(
        &self,
        input: &[f32],
        position: usize,
        row: &mut [f32],
        change: impl Fn(f32) -> f32,
    ) {
        let (sample, mut rest) = (position / self.area(), position % self.area());
        let size = self.axes.iter().map(|axis| axis.input).product::<usize>();
        let mut starts = vec![0; self.axes.len()];
        for (start, axis) in starts.iter_mut().zip(&self.axes).rev() {
            *start = rest % axis.output * axis.stride;
            rest /= axis.output;
        }
        let mut taps = vec![Some(0)];
        for (start, axis) in starts.into_iter().zip(&self.axes) {
            let entry = |tap: usize| {
                (start + tap * axis.dilation).checked_sub(axis.begin).filter(|&at| at < axis.input)
            };
            let join = |before: Option<usize>| {
                (0..axis.kernel).map(move |tap| Some(before? * axis.input + entry(tap)?))
            };
            taps = taps.into_iter().flat_map(join).collect();
        }
        for (channel, row) in row.chunks_exact_mut(taps.len()).enumerate() {
            let plane = &input[(sample * self.channels + channel) * size..][..size];
            for (number, tap) in row.iter_mut().zip(&taps) {
                *number = tap.map_or(0.0, |tap| change(plane[tap]));
            }
        }
    }

    /// Writes the `row.len()` numbers of the output at `position` into `row`.
    pub(crate) fn read_output(&self, output: &[f32], position: usize, row: &mut [f32]) {
        let area = self.area();
        let start = position / area * row.len() * area + position % area;
        for (channel, number) in row.iter_mut().enumerate() {
            *number = output[start + channel * area];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::model;

    fn windows(attributes: &str, dims: &[usize]) -> Windows {
        let source = format!(
            "g (float[1,2,3,3] x) => (float[1,2,n,m] y) <float[2,1,2,2] w = {{1,1,1,1,1,1,1,1}}>
            {{ y = Conv<{attributes}>(x, w) }}"
        );
        let model = model(&source);
        let (_, node) = model.graph.nodes().next().expect("there is a node");
        Windows::conv(node, &[2, 2], dims).expect("it has windows")
    }

    fn read(windows: &Windows, position: usize) -> Vec<f32> {
        let input: Vec<f32> = (1..19u8).map(f32::from).collect();
        let mut row = vec![0.0; windows.width()];
        windows.read(&input, position, &mut row, |number| number);
        row
    }

    #[test]
    fn a_window_lists_channels_then_taps() {
        let windows = windows("group = 2", &[1, 2, 3, 3]);
        assert_eq!(windows.positions(), 4);
        assert_eq!(read(&windows, 0), [1.0, 2.0, 4.0, 5.0, 10.0, 11.0, 13.0, 14.0]);
        assert_eq!(read(&windows, 3), [5.0, 6.0, 8.0, 9.0, 14.0, 15.0, 17.0, 18.0]);
    }

    #[test]
    fn the_padding_is_zero() {
        let windows = windows("group = 2, pads = [1, 0, 0, 1], strides = [2, 2]", &[1, 2, 3, 3]);
        assert_eq!(windows.positions(), 4);
        assert_eq!(read(&windows, 0), [0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 10.0, 11.0]);
        assert_eq!(read(&windows, 3), [6.0, 0.0, 9.0, 0.0, 15.0, 0.0, 18.0, 0.0]);
    }

    #[test]
    fn automatic_padding_is_at_the_end_or_at_the_start() {
        let upper = windows(r#"group = 2, auto_pad = "SAME_UPPER""#, &[1, 2, 3, 3]);
        assert_eq!(upper.positions(), 9);
        assert_eq!(read(&upper, 8), [9.0, 0.0, 0.0, 0.0, 18.0, 0.0, 0.0, 0.0]);
        let lower = windows(r#"group = 2, auto_pad = "SAME_LOWER""#, &[1, 2, 3, 3]);
        assert_eq!(read(&lower, 0), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 10.0]);
    }

    #[test]
    fn dilated_taps_are_apart() {
        let windows = windows("group = 2, dilations = [2, 2]", &[1, 2, 3, 3]);
        assert_eq!(windows.positions(), 1);
        assert_eq!(read(&windows, 0), [1.0, 3.0, 7.0, 9.0, 10.0, 12.0, 16.0, 18.0]);
    }

    #[test]
    fn outputs_are_read_where_windows_are() {
        let windows = windows("group = 2", &[2, 2, 3, 3]);
        let output: Vec<f32> = (0..16u8).map(f32::from).collect();
        let mut row = [0.0; 2];
        windows.read_output(&output, 5, &mut row);
        assert_eq!(row, [9.0, 13.0]);
        let rows = Windows::rows(&[2, 3, 4]).expect("it has columns");
        assert_eq!((rows.positions(), rows.width()), (6, 4));
        rows.read_output(&output, 3, &mut row);
        assert_eq!(row, [6.0, 7.0]);
    }

    #[test]
    fn shares_count_positions_where_a_tap_is_inside() {
        let padded = windows("group = 2, pads = [1, 0, 0, 0]", &[1, 2, 3, 3]);
        // Rows 0 to 2 of three, the first tap of which reads rows −1 to 1, and two columns.
        assert_eq!(padded.shares_inside(), [2.0 / 3.0, 2.0 / 3.0, 1.0, 1.0]);
        assert_eq!(windows("group = 2, strides = [2, 2]", &[1, 2, 3, 3]).shares_inside(), [1.0; 4]);
        assert_eq!(Windows::rows(&[4, 5]).expect("it has columns").shares_inside(), [1.0]);
    }
}
