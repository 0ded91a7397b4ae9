//! The calibration cache of TensorRT: what its implicit quantization reads instead of calibrating.
use super::plan::QuantizationPlan;
use std::fmt::Write;

/// The largest magnitude of symmetric `int8`.
const STEPS: f32 = 127.0;

impl QuantizationPlan {
    /// The text of a calibration cache: a header, then a line per value, `name: scale` with the bits of the scale as eight
    /// hexadecimal digits, in order of their names.
    ///
    /// scale = max(|min|, |max|) / 127, as TensorRT quantizes around 0, whatever the plan does.
    #[must_use]
    pub fn calibration_cache(&self) -> String {
        let mut text = "TRT-8601-MinMaxCalibration\n".to_owned();
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_by(|a, b| a.name.cmp(&b.name));
        for value in values {
            let scale = value.min.abs().max(value.max.abs()) / STEPS;
            if scale.is_finite() {
                let _ = writeln!(text, "{}: {:08x}", value.name, scale.to_bits());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::plan;

    #[test]
    fn a_scale_is_written_as_its_bits() {
        let source = "
            g (float[1,1,4,4] x) => (float[1,1,4,4] y) <float[1,1,1,1] w = {127}>
            { y = Conv(x, w) }
        ";
        let text = plan(source, &[("x", -254.0, 3.0)]).calibration_cache();
        // 254 / 127 = 2, and 128 / 127 with the bits of the nearest float.
        let bits = (128.0f32 / 127.0).to_bits();
        assert_eq!(text, format!("TRT-8601-MinMaxCalibration\nx: 40000000\ny: {bits:08x}\n"));
    }
}
