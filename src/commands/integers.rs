//! The options about integers, as the library takes them.
use crate::cli::{ActivationType, BiasType, Integers, WeightType};
use lapidary::passes::quantize::{BiasForm, IntegerType, QuantizeOptions, WeightFormat};

impl Integers {
    /// The options of the library.
    pub(crate) fn settings(&self) -> QuantizeOptions {
        let integers = |activations| match activations {
            ActivationType::Uint8 => IntegerType::Uint8,
            ActivationType::Int8 => IntegerType::Int8,
            ActivationType::Uint16 => IntegerType::Uint16,
            ActivationType::Int16 => IntegerType::Int16,
        };
        let bits = match (self.weights, self.reduce_range) {
            (WeightType::Int4, _) => 4,
            (WeightType::Int8, true) => 7,
            (WeightType::Int8, false) => 8,
        };
        let bias = |bias| match bias {
            BiasType::Int32 => BiasForm::Int32,
            BiasType::Float => BiasForm::Float,
        };
        QuantizeOptions {
            target: self.target,
            activations: self.activations.map(integers),
            symmetric: match (self.symmetric, self.asymmetric) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            },
            power_of_two: self.power_of_two,
            weights: WeightFormat {
                bits,
                per_channel: !self.per_tensor,
                power_of_two: self.power_of_two,
            },
            bias: self.bias.map(bias),
            exclude: self.exclude.clone(),
            keep_first_last: self.keep_first_last,
            ..QuantizeOptions::default()
        }
    }
}
