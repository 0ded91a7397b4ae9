//! Inputs for a model nobody gave data for.
use crate::signature::{Declared, Signature};
use crate::{ExecError, Inputs};
use lapidary_ir::{Dim, ElemType, Model, Tensor};
use std::collections::BTreeMap;
use tract_onnx::prelude::f16;

/// Makes random inputs that depend on nothing but these fields and the declarations of the inputs,
/// on any machine.
///
/// * Floating-point numbers have mean 0 and variance 1.
/// * Integers are 0 or 1, so that they are valid as token ids, indices and masks of any model;
///   integers of an input that has `mask` in its name are all 1, since what is masked is not tested.
/// * A dimension declared by name is what [`dims`](Self::dims) says, else what the first dimension of
///   that name is. Dimensions left open become: [`batch`](Self::batch) on axis 0; behind it, for
///   inputs of rank 4 and more, 3 on axis 1 and 64 on the others; else 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomInputs {
    /// Other seeds give other numbers.
    pub seed: u64,
    /// The size of axis 0 where the model leaves it open.
    pub batch: i64,
    /// The size of dimensions by `dim_param`.
    pub dims: BTreeMap<String, i64>,
}

impl Default for RandomInputs {
    fn default() -> Self {
        Self { seed: 0, batch: 2, dims: BTreeMap::new() }
    }
}

impl RandomInputs {
    /// Inputs for `model`.
    ///
    /// # Errors
    /// When an input declares no element type or no shape, or an element type the runtime does not
    /// have.
    pub fn generate(&self, model: &Model) -> Result<Inputs, ExecError> {
        self.generate_missing(model, &mut Inputs::new())
    }

    /// Inputs for `model`, of which `known` has some; those it lacks are added to it.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_missing(&self, model: &Model, known: &mut Inputs) -> Result<Inputs, ExecError> {
        let signature = Signature::new(&model.graph)?;
        let mut params = self.dims.clone();
        let mut inputs = Inputs::new();
        for declared in &signature.inputs {
            let dims = self.size(declared, &mut params)?;
            let same = |tensor: &&Tensor| {
                tensor.dims() == dims && tensor.elem_type() == declared.elem_type
            };
            let tensor = match known.get(&declared.name).filter(same) {
                Some(tensor) => tensor.clone(),
                None => self.tensor(declared, &dims)?,
            };
            known.insert(declared.name.clone(), tensor.clone());
            inputs.insert(declared.name.clone(), tensor);
        }
        Ok(inputs)
    }

    /// The dimensions of the inputs for `model`.
    ///
    /// # Errors
    /// When an input declares no element type or no shape, or an element type the runtime does not
    /// have.
    pub fn dimensions(&self, model: &Model) -> Result<BTreeMap<String, Vec<i64>>, ExecError> {
        let signature = Signature::new(&model.graph)?;
        let mut params = self.dims.clone();
        let size =
            |declared: &Declared| Ok((declared.name.clone(), self.size(declared, &mut params)?));
        signature.inputs.iter().map(size).collect()
    }

    fn size(
        &self,
        declared: &Declared,
        params: &mut BTreeMap<String, i64>,
    ) -> Result<Vec<i64>, ExecError> {
        let Some(shape) = &declared.shape else {
            let name = declared.name.clone();
            return Err(ExecError::Undeclared { name, what: "shape" });
        };
        let size = |(axis, dim): (usize, &Dim)| {
            let chosen = match (axis, shape.len()) {
                (0, _) => self.batch,
                (1, 4..) => 3,
                (_, 4..) => 64,
                _ => 16,
            };
            match (dim.value(), dim.as_param()) {
                (Some(value), _) => value,
                (None, Some(param)) => *params.entry(param.to_owned()).or_insert(chosen),
                (None, None) => chosen,
            }
        };
        Ok(shape.iter().enumerate().map(size).collect())
    }

    fn tensor(&self, declared: &Declared, dims: &[i64]) -> Result<Tensor, ExecError> {
        let mut generator = Generator::new(self.seed, &declared.name);
        let count = dims.iter().product::<i64>() as usize;
        let ones = declared.name.to_lowercase().contains("mask");
        macro_rules! tensor {
            ($generator:ident, $number:expr) => {{
                let numbers: Vec<_> = (0..count)
                    .map(|_| {
                        let $generator = &mut generator;
                        $number
                    })
                    .collect();
                Ok(Tensor::new(dims, &numbers))
            }};
            ($ty:ty) => {
                tensor!(generator, if ones { 1 } else { generator.below(2) as $ty })
            };
        }
        match declared.elem_type {
            ElemType::FLOAT => tensor!(generator, generator.normal()),
            ElemType::DOUBLE => tensor!(generator, f64::from(generator.normal())),
            ElemType::FLOAT16 => tensor!(generator, f16::from_f32(generator.normal())),
            ElemType::BOOL => tensor!(generator, ones || generator.below(2) == 1),
            ElemType::INT8 => tensor!(i8),
            ElemType::INT16 => tensor!(i16),
            ElemType::INT32 => tensor!(i32),
            ElemType::INT64 => tensor!(i64),
            ElemType::UINT8 => tensor!(u8),
            ElemType::UINT16 => tensor!(u16),
            ElemType::UINT32 => tensor!(u32),
            ElemType::UINT64 => tensor!(u64),
            elem_type => Err(ExecError::UnsupportedType { name: declared.name.clone(), elem_type }),
        }
    }
}

/// The splitmix64 generator.
pub(crate) struct Generator(u64);

impl Generator {
    /// Every name has its own sequence.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut generator = Self(seed ^ hash);
        generator.next();
        generator
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number of mean 0 and variance 1, almost normal: the sum of eight uniform 16-bit integers,
    /// which is exact, where logarithm and cosine would differ between machines.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum = |bits: u64| (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum::<u64>();
        let sum = sum(self.next()) + sum(self.next());
        // The variance of one is (2³² − 1) / 12.
        const MEAN: f64 = 8.0 * 65535.0 / 2.0;
        const DEVIATION: f64 = 53_509.919_921_450_08;
        ((sum as f64 - MEAN) / DEVIATION) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::decode;

    fn model() -> Model {
        let text = "ids:int64 batch,seq attention_mask:int64 batch,seq \
            x:float batch,3,h,w f:float 2,? -> y:float
            y = Identity(x)";
        decode(text, &[])
    }

    #[test]
    fn dimensions_follow_the_rule() {
        let dims = BTreeMap::from([("w".to_owned(), 5)]);
        let inputs = RandomInputs { dims, ..RandomInputs::default() }.generate(&model());
        let inputs = inputs.expect("all is declared");
        assert_eq!(inputs["ids"].dims(), [2, 16]);
        assert_eq!(inputs["x"].dims(), [2, 3, 64, 5]);
        assert_eq!(inputs["f"].dims(), [2, 16]);
    }

    #[test]
    fn the_seed_decides() {
        let of = |seed| RandomInputs { seed, ..RandomInputs::default() }.generate(&model());
        let (a, b, c) = (of(1).expect("valid"), of(1).expect("valid"), of(2).expect("valid"));
        assert!(a["x"].same_content(&b["x"]));
        assert!(!a["x"].same_content(&c["x"]));
    }

    #[test]
    fn integers_are_valid_indices_and_masks_are_open() {
        let inputs = RandomInputs::default().generate(&model()).expect("valid");
        let ids: Vec<i64> = inputs["ids"].to_vec().expect("int64");
        assert!(ids.iter().all(|id| (0..2).contains(id)));
        assert!(ids.contains(&0) && ids.contains(&1));
        let mask: Vec<i64> = inputs["attention_mask"].to_vec().expect("int64");
        assert!(mask.iter().all(|&open| open == 1));
    }

    #[test]
    fn floats_have_mean_zero_and_variance_one() {
        let mut generator = Generator::new(3, "x");
        let numbers: Vec<f64> = (0..100_000).map(|_| f64::from(generator.normal())).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let variance = numbers.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
