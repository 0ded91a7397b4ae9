//! Convolutions: channels, groups, biases and the window.
use super::Site;

impl Site<'_> {
    /// `w` is `[outputs, inputs / group, window…]`.
    pub(super) fn convolution(&mut self, x: usize, w: usize, bias: Option<usize>) {
        let Some(group) = self.prepare(x, w) else { return };
        if let (Some(channels), Some(found)) = (self.dim(x, 1), self.dim(w, 1)) {
            if channels % group != 0 {
                self.uneven(x, channels, group);
            } else if channels / group != found {
                let (operand, expected) = (self.operand(w), channels / group);
                self.fault(format!(
                    "{operand} has {found} channels per group, \
                     expected {channels} / {group} = {expected}"
                ));
            }
        }
        let Some(outputs) = self.dim(w, 0) else { return };
        if outputs % group != 0 {
            let operand = self.operand(w);
            self.fault(format!(
                "{operand} has {outputs} output channels, expected a multiple of the {group} groups"
            ));
        }
        if let Some(bias) = bias {
            self.vector(bias, outputs, "output channel");
        }
    }

    /// `w` is `[inputs, outputs / group, window…]`.
    pub(super) fn transposed_convolution(&mut self) {
        let (x, w, bias) = (0, 1, 2);
        let Some(group) = self.prepare(x, w) else { return };
        if let (Some(channels), Some(found)) = (self.dim(x, 1), self.dim(w, 0))
            && channels != found
        {
            let operand = self.operand(w);
            self.fault(format!("{operand} has {found} input channels, expected {channels}"));
        }
        if let Some(channels) = self.dim(w, 0)
            && channels % group != 0
        {
            self.uneven(w, channels, group);
        }
        if let Some(outputs) = self.dim(w, 1).and_then(|outputs| outputs.checked_mul(group)) {
            self.vector(bias, outputs, "output channel");
        }
    }

    /// Ranks and window; returns the number of groups if channels can be looked at.
    fn prepare(&mut self, x: usize, w: usize) -> Option<i64> {
        let group = self.int("group").unwrap_or(1);
        if group < 1 {
            self.fault(format!("group is {group}, expected 1 or more"));
            return None;
        }
        if let (Some(expected), Some(found)) = (self.rank(x), self.rank(w))
            && expected != found
        {
            let (x, w) = (self.operand(x), self.operand(w));
            self.fault(format!("{w} has rank {found}, expected {expected} as {x}"));
            return None;
        }
        if let Some(rank) = self.rank(w).or(self.rank(x)) {
            if rank < 3 {
                self.fault(format!("inputs have rank {rank}, expected 3 or more"));
                return None;
            }
            self.window(w, rank - 2);
        }
        Some(group)
    }

    fn window(&mut self, w: usize, spatial: usize) {
        let node = self.node;
        for (name, expected) in [
            ("kernel_shape", spatial),
            ("strides", spatial),
            ("dilations", spatial),
            ("pads", 2 * spatial),
        ] {
            let found = node.ints(name).map_or(expected, <[i64]>::len);
            if found != expected {
                self.fault(format!("attribute `{name}` has {found} values, expected {expected}"));
            }
        }
        let (Some(found), Some(shape)) = (node.ints("kernel_shape"), self.shape(w)) else { return };
        let window = &shape[2..];
        let fits = |(found, dim): (&i64, &crate::Dim)| dim.value().is_none_or(|dim| dim == *found);
        if !found.iter().zip(window).all(fits) {
            let operand = self.operand(w);
            self.fault(format!("kernel_shape is {found:?}, expected {window:?} as {operand}"));
        }
    }

    fn uneven(&mut self, slot: usize, channels: i64, group: i64) {
        let operand = self.operand(slot);
        self.fault(format!(
            "{operand} has {channels} channels, expected a multiple of the {group} groups"
        ));
    }
}
