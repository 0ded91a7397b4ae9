//! Bias correction without samples: M. Nagel et al., ICCV 2019, section 4.2.
use super::super::calibration::Calibration;
use super::super::equalize::{ChannelMoments, FloatChange, Moments};
use super::super::plan::QuantizationPlan;
use super::super::settings::QuantizeOptions;
use super::has_integer_bias;
use super::layer::{Layer, unrefined};
use super::rounding::CodeRange;
use super::solve::{nearest, with_biases};
use lapidary_ir::Model;

/// Corrects the biases of a plan by what rounding weights adds to the mean of the results:
///
/// b′ = b − (Ŵ − W) E\[x\],
///
/// with E\[x\] from `normalizations` and, where they say nothing, from weights and biases before it and the mean of all
/// channels that was observed. That there are zeros around the input of a Conv is left out of account.
///
/// The change names every product and where its E\[x\] is from.
#[must_use]
pub fn correct_biases(
    model: &Model,
    plan: &QuantizationPlan,
    calibration: &Calibration,
    options: &QuantizeOptions,
    normalizations: &ChannelMoments,
) -> (QuantizationPlan, FloatChange) {
    let graph = &model.graph;
    let mut change = FloatChange::of("bias-correction");
    for (reason, names) in unrefined(plan) {
        change.left_alone.insert(reason.to_owned(), names);
    }
    let moments = normalizations.spread(graph, calibration);
    let layers = Layer::of_plan(graph, plan, calibration);
    let mut biases = Vec::new();
    for layer in &layers {
        let label = graph[layer.node].label(graph);
        if !layer.takes_bias {
            change.leave("MatMul takes no bias", label);
            continue;
        }
        let channels = channels(graph, layer);
        let Some((origin, input)) = moments.of(&layer.input, channels, calibration) else {
            change.leave("nothing is known of its input", label);
            continue;
        };
        let weights = &plan.weights[layer.index];
        let codes = nearest(layer, &weights.scales, CodeRange::new(weights.format));
        biases.push((layer, corrected(layer, &codes, &weights.scales, &input)));
        change.changed.push(format!("{label} ({origin})"));
    }
    (with_biases(plan, biases, has_integer_bias(options)), change)
}

/// The channels of what a product reads.
fn channels(graph: &lapidary_ir::Graph, layer: &Layer) -> usize {
    let taps = super::layer::kernel(graph, layer.node).iter().product::<i64>().max(1) as usize;
    layer.groups * layer.size / taps
}

/// b′ of every output channel, for the means of the channels of the input.
fn corrected(layer: &Layer, codes: &[f32], scales: &[f32], input: &[Moments]) -> Vec<f32> {
    let per_group = input.len() / layer.groups;
    let taps = layer.size / per_group;
    let row = |channel: usize| {
        let group = channel / (layer.outputs / layer.groups);
        let scale = f64::from(scales[channel % scales.len()]);
        let codes = &codes[channel * layer.size..][..layer.size];
        let pairs = codes.iter().zip(layer.row(channel)).enumerate();
        let added = pairs.map(|(at, (&code, &weight))| {
            let error = scale * f64::from(code) - f64::from(weight);
            error * input[group * per_group + at / taps].mean
        });
        (f64::from(layer.bias[channel]) - added.sum::<f64>()) as f32
    };
    (0..layer.outputs).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::calibration_statistics::CalibrationStatistics;
    use super::super::super::testing::model;
    use super::*;
    use lapidary_exec::{ExecError, RandomInputs};

    /// A normalization that says 2 and 0 for the means of its channels.
    const SOURCE: &str = "
        g (float[1,2,2,2] x) => (float[1,2,2,2] y)
        <float[2] s = {1, 1}, float[2] b = {2, 0}, float[2] m = {0, 0}, float[2] v = {1, 1},
         float[2,2,1,1] w = {127, 0.4, 0.3, 12.7}, float[2] d = {1, 1}>
        {
            n = BatchNormalization(x, s, b, m, v)
            c = Conv(n, w, d)
            y = Sigmoid(c)
        }
    ";

    fn calibrated(model: &Model) -> Calibration {
        let sample = RandomInputs::default().generate(model).expect("inputs can be made");
        let samples = std::iter::once(Ok::<_, ExecError>(sample));
        let found = CalibrationStatistics::collect(model, samples).expect("the model runs");
        Calibration::from(&found)
    }

    #[test]
    fn the_mean_of_the_error_is_taken_away() {
        let model = model(SOURCE);
        let calibration = calibrated(&model);
        let mut options = QuantizeOptions::default();
        options.weights.per_channel = false;
        let plan = QuantizationPlan::of_model(&model, &calibration, &options);
        let known = ChannelMoments::of_normalizations(&model.graph);
        let (corrected, change) = correct_biases(&model, &plan, &calibration, &options, &known);
        // The scale is 1: 0.4 and 0.3 become 0, and 12.7 becomes 13. E[x] = (2, 0).
        let biases = corrected.biases[0].values.clone().expect("they are corrected");
        assert!((biases[0] - 1.0).abs() < 1e-5 && (biases[1] - 1.6).abs() < 1e-5, "{biases:?}");
        assert_eq!(change.changed, ["c (normalization)"]);
        assert!(change.left_alone.is_empty());
        let mut quantized = model.clone();
        corrected.apply(&mut quantized).expect("the plan is for this graph");
        assert_eq!(quantized.validate(), []);
    }

    #[test]
    fn a_product_without_a_bias_gets_one_and_a_matrix_product_is_named() {
        let model = model(
            "g (float[4,2] x) => (float[4,2] y)
            <float[2,2] w = {127, 0.4, 0.3, 12.7}, float[2,2] v = {127, 0.4, 0.3, 12.7}>
            {
                p = Gemm(x, w)
                y = MatMul(p, v)
            }",
        );
        let calibration = calibrated(&model);
        let options = QuantizeOptions::default();
        let plan = QuantizationPlan::of_model(&model, &calibration, &options);
        let known = ChannelMoments::default();
        let (corrected, change) = correct_biases(&model, &plan, &calibration, &options, &known);
        assert_eq!(change.changed, ["p (mean of all channels)"]);
        assert_eq!(change.left_alone["MatMul takes no bias"], ["y"]);
        assert_eq!((plan.biases.len(), corrected.biases.len()), (0, 1));
    }
}
