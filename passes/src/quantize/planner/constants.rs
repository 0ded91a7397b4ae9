//! Weights and biases.
use super::super::placement::Support;
use super::super::plan::{BiasQuantization, ConstantQuantization, Reader, WeightQuantization};
use super::super::target::BiasForm;
use super::super::weight::{channel_scales, least_weight_scale};
use super::Planner;
use lapidary_ir::{NodeId, ValueId};
use std::collections::BTreeMap;

impl Planner<'_> {
    /// Weights first, since a bias may need the scale of its weights larger; then biases.
    pub(super) fn constants(&self) -> (Vec<WeightQuantization>, Vec<BiasQuantization>) {
        let mut weights: Vec<WeightQuantization> = Vec::new();
        let mut known: BTreeMap<(ValueId, Option<usize>), usize> = BTreeMap::new();
        let mut biased = Vec::new();
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            let Support::Product(product) = *self.support(id) else { continue };
            let (Some(tensor), Some(input)) =
                (self.graph.constant(product.weights), self.graph[id].input(0))
            else {
                continue;
            };
            let axis = self.weights.axis(product.axis);
            let Some(scales) = channel_scales(tensor, axis, self.weights) else { continue };
            let Ok(parameters) = self.parameters(input) else { continue };
            let index = *known.entry((product.weights, axis)).or_insert_with(|| {
                let name = self.graph.value(product.weights).name().to_owned();
                weights.push(WeightQuantization {
                    name,
                    axis,
                    format: self.weights,
                    scales,
                    codes: None,
                    readers: Vec::new(),
                });
                weights.len() - 1
            });
            weights[index].readers.push(self.reader(id, 1));
            if self.bias == BiasForm::Float {
                continue;
            }
            let bias = product.bias.and_then(|bias| self.graph.constant(bias)?.to_vec::<f32>());
            let bias = bias.unwrap_or_else(|| vec![0.0; weights[index].scales.len()]);
            let scales = &mut weights[index].scales;
            for (channel, &bias) in bias.iter().enumerate() {
                let scale = &mut scales[if axis.is_some() { channel } else { 0 }];
                *scale =
                    scale.max(self.weights.round_up(least_weight_scale(bias, parameters.scale)));
            }
            if let Some(bias) = product.bias {
                biased.push((id, bias, index, parameters.scale));
            }
        }
        let bias =
            |(id, bias, index, input_scale): (NodeId, ValueId, usize, f32)| BiasQuantization {
                name: self.graph.value(bias).name().to_owned(),
                scales: weights[index].scales.iter().map(|scale| input_scale * scale).collect(),
                values: None,
                reader: self.reader(id, 2),
            };
        let biases = biased.into_iter().map(bias).collect();
        (weights, biases)
    }

    /// Constants arithmetic reads next to what is computed.
    pub(super) fn constant_operands(&self) -> Vec<ConstantQuantization> {
        let mut readers: BTreeMap<ValueId, Vec<Reader>> = BTreeMap::new();
        for &id in self.order.iter().filter(|&&id| self.is_integer(id)) {
            if !matches!(self.support(id), Support::Arithmetic { .. }) {
                continue;
            }
            for (slot, &input) in self.graph[id].inputs().iter().enumerate() {
                if let Some(input) = input.filter(|&input| self.graph.constant(input).is_some()) {
                    readers.entry(input).or_default().push(self.reader(id, slot));
                }
            }
        }
        let constant = |(id, readers): (ValueId, Vec<Reader>)| {
            let parameters = self.parameters(id).ok()?;
            let name = self.graph.value(id).name().to_owned();
            Some(ConstantQuantization { name, parameters, readers })
        };
        readers.into_iter().filter_map(constant).collect()
    }

    pub(super) fn reader(&self, id: NodeId, slot: usize) -> Reader {
        let output = self.graph[id].outputs().iter().flatten().next();
        let output = output.map_or("", |&output| self.graph.value(output).name());
        Reader { output: output.to_owned(), slot }
    }
}
