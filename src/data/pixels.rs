//! An image in memory, and what of it is kept.

/// An image: rows of pixels of `channels` bytes each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// 3 for red, green, blue; 1 for grey.
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

impl Pixels {
    /// The middle `height` x `width` pixels, as torchvision's `CenterCrop` takes them: with black around an
    /// image that is smaller, and the odd pixel where Python's `round` puts it.
    #[must_use]
    pub(crate) fn center_crop(&self, height: usize, width: usize) -> Self {
        let top = Cut::of(self.height, height);
        let left = Cut::of(self.width, width);
        let channels = self.channels;
        let mut data = vec![0; height * width * channels];
        for row in 0..top.length {
            let from = ((top.from + row) * self.width + left.from) * channels;
            let to = ((top.to + row) * width + left.to) * channels;
            let length = left.length * channels;
            data[to..to + length].copy_from_slice(&self.data[from..from + length]);
        }
        Self { height, width, channels, data }
    }

    /// One grey channel, as Pillow's `convert("L")`: `(19595 r + 38470 g + 7471 b + 2^15) / 2^16`, the
    /// weights of ITU-R 601-2.
    #[must_use]
    pub(crate) fn into_grey(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let grey = |pixel: &[u8]| {
            let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16) as u8
        };
        let data = self.data.chunks_exact(3).map(grey).collect();
        Self { channels: 1, data, ..self }
    }

    /// Three channels, all the same for a grey image.
    #[must_use]
    pub(crate) fn into_rgb(self) -> Self {
        if self.channels == 3 {
            return self;
        }
        let data = self.data.iter().flat_map(|&grey| [grey; 3]).collect();
        Self { channels: 3, data, ..self }
    }
}

/// Where the pixels of one axis come from and go to.
struct Cut {
    from: usize,
    to: usize,
    length: usize,
}

impl Cut {
    fn of(found: usize, wanted: usize) -> Self {
        if wanted > found {
            return Self { from: 0, to: (wanted - found) / 2, length: found };
        }
        let spare = found - wanted;
        // Half of it, a half rounded to the even neighbour.
        let from = if spare % 4 == 3 { spare / 2 + 1 } else { spare / 2 };
        Self { from, to: 0, length: wanted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(height: usize, width: usize) -> Pixels {
        let data = (0..height * width).map(|index| index as u8).collect();
        Pixels { height, width, channels: 1, data }
    }

    #[test]
    fn odd_margins_are_rounded_to_even() {
        // round(1.5) == 2, round(0.5) == 0 and round(2.5) == 2
        assert_eq!(ramp(1, 7).center_crop(1, 4).data, [2, 3, 4, 5]);
        assert_eq!(ramp(1, 5).center_crop(1, 4).data, [0, 1, 2, 3]);
        assert_eq!(ramp(1, 9).center_crop(1, 4).data, [2, 3, 4, 5]);
        assert_eq!(ramp(1, 8).center_crop(1, 4).data, [2, 3, 4, 5]);
    }

    #[test]
    fn a_small_image_stands_in_black() {
        // torchvision pads (4 - 1) // 2 = 1 above and left, (4 - 1 + 1) // 2 = 2 below and right.
        let found = Pixels { height: 1, width: 1, channels: 1, data: vec![9] }.center_crop(4, 4);
        assert_eq!(found.data, [0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(ramp(1, 5).center_crop(2, 3).data, [1, 2, 3, 0, 0, 0]);
    }

    #[test]
    fn grey_weighs_the_channels() {
        let image = Pixels { height: 1, width: 4, channels: 3, data: Vec::new() };
        let data = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 198, 126, 129];
        let grey = Pixels { data, ..image }.into_grey();
        assert_eq!(grey.data, [76, 150, 29, 148]);
        assert_eq!(grey.into_rgb().data[9..], [148, 148, 148]);
    }
}
