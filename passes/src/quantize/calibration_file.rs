//! Calibration statistics as a file, and what may be done with those of others.
//!
//! | bytes | |
//! | --- | --- |
//! | 8 | [`MAGIC`] |
//! | 4 | the version of the format, little-endian as all integers here |
//! | 16 | the fingerprint of the model |
//! | 8 | the number of samples |
//! | 4 | the number of values, then per value in ascending order of names: |
//! | · 4 | the length of its name in bytes |
//! | · | its name in UTF-8 |
//! | · | its [statistics](ValueStatistics::encode) |
//! | 16 | the fingerprint of all bytes before |
use super::calibration_statistics::CalibrationStatistics;
use super::fingerprint::Fingerprint;
use lapidary_exec::{Statistic, StatisticsError, ValueStatistics};
use lapidary_ir::Model;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a file of calibration statistics begins with.
pub const MAGIC: [u8; 8] = *b"LAPCALIB";

/// The version of the format.
const VERSION: u32 = 1;

/// Why bytes are no calibration statistics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationFileError {
    /// It is something else.
    #[error("it is no file of calibration statistics")]
    Magic,
    /// Another program wrote it.
    #[error("it has version {found} of the format, this program reads version {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
    /// It is not whole.
    #[error("it ends too early")]
    Truncated,
    /// It is not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// The statistics of a value can't be.
    #[error("the statistics of `{name}` are damaged: {source}")]
    Value {
        /// The value.
        name: String,
        /// What is wrong.
        source: StatisticsError,
    },
}

/// Why statistics don't go with others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// They are of another model.
    #[error("they are of different models: {expected} and {found}")]
    Model {
        /// The model of the first.
        expected: Fingerprint,
        /// The model of the others.
        found: Fingerprint,
    },
    /// The model computes what the others don't know.
    #[error("value `{name}` was observed in one of them only")]
    Value {
        /// The value.
        name: String,
    },
    /// There are more numbers than can be counted.
    #[error("together they count too many numbers")]
    TooMany,
}

/// Why statistics are not those of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("they are of another model, {found}, this one is {expected}; {}", lack(.missing))]
pub struct OtherModel {
    /// The model.
    pub expected: Fingerprint,
    /// The model of the statistics.
    pub found: Fingerprint,
    /// What the model computes and the statistics don't know.
    pub missing: Vec<String>,
}

fn lack(missing: &[String]) -> String {
    const SHOWN: usize = 5;
    if missing.is_empty() {
        return "its values are known, but they are computed otherwise".to_owned();
    }
    let shown: Vec<String> = missing.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more} are missing", shown.join(", "))
}

impl CalibrationStatistics {
    /// The statistics as bytes: the same for the same statistics.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.model.0.to_le_bytes());
        bytes.extend(self.samples.to_le_bytes());
        bytes.extend((self.values.len() as u32).to_le_bytes());
        for (name, statistics) in &self.values {
            bytes.extend((name.len() as u32).to_le_bytes());
            bytes.extend(name.as_bytes());
            statistics.encode(&mut bytes);
        }
        bytes.extend(Fingerprint::of_bytes(&bytes).0.to_le_bytes());
        bytes
    }

    /// Reads statistics. Memory in use grows with the length of the bytes, whatever they say.
    ///
    /// # Errors
    /// When the bytes are not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CalibrationFileError> {
        let mut reader = Reader(bytes);
        if reader.take().ok() != Some(MAGIC) {
            return Err(CalibrationFileError::Magic);
        }
        let found = u32::from_le_bytes(reader.take()?);
        if found != VERSION {
            return Err(CalibrationFileError::Version { found });
        }
        let model = Fingerprint(u128::from_le_bytes(reader.take()?));
        let samples = u64::from_le_bytes(reader.take()?);
        let count = u32::from_le_bytes(reader.take()?);
        let mut values: BTreeMap<String, Arc<ValueStatistics>> = BTreeMap::new();
        for _ in 0..count {
            let length = u32::from_le_bytes(reader.take()?) as usize;
            let name = String::from_utf8(reader.bytes(length)?.to_vec());
            let name = name.map_err(|_| CalibrationFileError::Damaged("a name is not UTF-8"))?;
            if values.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(CalibrationFileError::Damaged("the names are not in order"));
            }
            let statistics = ValueStatistics::decode(&mut reader.0);
            let statistics = statistics.map_err(|source| match source {
                StatisticsError::Truncated => CalibrationFileError::Truncated,
                source => CalibrationFileError::Value { name: name.clone(), source },
            })?;
            if statistics.minima.count() > samples {
                return Err(CalibrationFileError::Damaged(
                    "a value has more samples than there are",
                ));
            }
            values.insert(name, Arc::new(statistics));
        }
        let read = &bytes[..bytes.len() - reader.0.len()];
        let checksum = u128::from_le_bytes(reader.take()?);
        if checksum != Fingerprint::of_bytes(read).0 {
            return Err(CalibrationFileError::Damaged("the checksum does not fit"));
        }
        if !reader.0.is_empty() {
            return Err(CalibrationFileError::Damaged("there is something behind the end"));
        }
        Ok(Self { model, samples, values })
    }

    /// Takes in the statistics of the same model over other samples.
    ///
    /// # Errors
    /// When they are of another model; then these are unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        if self.model != other.model {
            return Err(MergeError::Model { expected: self.model, found: other.model });
        }
        let either = self.values.keys().chain(other.values.keys());
        let mut alone = either
            .filter(|name| !(self.values.contains_key(*name) && other.values.contains_key(*name)));
        if let Some(name) = alone.next() {
            return Err(MergeError::Value { name: name.clone() });
        }
        let samples = self.samples.checked_add(other.samples).ok_or(MergeError::TooMany)?;
        let mut pairs = self.values.values().zip(other.values.values());
        if pairs.any(|(first, second)| first.overflows(second)) {
            return Err(MergeError::TooMany);
        }
        for (statistics, others) in self.values.values_mut().zip(other.values.values()) {
            Arc::make_mut(statistics).merge(others);
        }
        self.samples = samples;
        Ok(())
    }

    /// Whether these are the statistics of a model.
    ///
    /// # Errors
    /// When they are of another one.
    pub fn check(&self, model: &Model) -> Result<(), OtherModel> {
        let (expected, found) = (Fingerprint::of(model), self.model);
        if expected == found {
            return Ok(());
        }
        let names = super::calibration_statistics::observable(&model.graph);
        let names = names.map(|id| model.graph.value(id));
        let names = names.filter(|value| value.elem_type().is_none_or(|found| found.is_float()));
        let missing = names.map(|value| value.name());
        let missing = missing.filter(|name| !self.values.contains_key(*name));
        Err(OtherModel { expected, found, missing: missing.map(str::to_owned).collect() })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CalibrationFileError> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(CalibrationFileError::Truncated)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], CalibrationFileError> {
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or(CalibrationFileError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use super::*;
    use lapidary_exec::{ExecError, Inputs};
    use lapidary_ir::Tensor;

    const SOURCE: &str = "
        g (float[N,2] x) => (float[N,2] y)
        <float[2] shift = {0.5, -1}>
        {
            s = Add(x, shift)
            y = Relu(s)
        }
    ";

    fn collect(source: &str, samples: &[[f32; 2]]) -> CalibrationStatistics {
        let sample = |numbers: &[f32; 2]| {
            Ok::<_, ExecError>(Inputs::from([("x".to_owned(), Tensor::new(&[1, 2], numbers))]))
        };
        let found = CalibrationStatistics::collect(&model(source), samples.iter().map(sample));
        found.expect("the model runs")
    }

    const SAMPLES: [[f32; 2]; 5] =
        [[1.0, 2.0], [-3.0, 4.0], [0.5, -6.0], [1e-9, 1e9], [f32::NAN, 0.0]];

    #[test]
    fn any_division_gives_the_same_bytes() {
        let whole = collect(SOURCE, &SAMPLES).encode();
        let mut reversed = SAMPLES;
        reversed.reverse();
        assert_eq!(collect(SOURCE, &reversed).encode(), whole);
        for parts in 2..=5 {
            let shard = |index: usize| {
                let own = SAMPLES.iter().skip(index).step_by(parts).copied();
                collect(SOURCE, &own.collect::<Vec<_>>())
            };
            let mut merged = shard(parts - 1);
            for index in 0..parts - 1 {
                let other = CalibrationStatistics::decode(&shard(index).encode());
                merged.merge(&other.expect("it was written so")).expect("the model is the same");
            }
            assert_eq!(merged.encode(), whole, "{parts} parts");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let statistics = collect(SOURCE, &SAMPLES);
        assert_eq!(CalibrationStatistics::decode(&statistics.encode()), Ok(statistics));
    }

    #[test]
    fn a_beginning_is_refused() {
        let bytes = collect(SOURCE, &SAMPLES).encode();
        for end in 0..bytes.len() {
            let error = CalibrationStatistics::decode(&bytes[..end]);
            let expected = if end < MAGIC.len() {
                CalibrationFileError::Magic
            } else {
                CalibrationFileError::Truncated
            };
            assert_eq!(error, Err(expected));
        }
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let bytes = collect(SOURCE, &SAMPLES).encode();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                assert!(CalibrationStatistics::decode(&changed).is_err(), "byte {place}");
            }
        }
        let longer = [bytes, vec![0]].concat();
        assert!(CalibrationStatistics::decode(&longer).is_err());
    }

    #[test]
    fn numbers_that_promise_too_much_cost_nothing() {
        let bytes = collect(SOURCE, &SAMPLES).encode();
        // The number of values, the length of the first name.
        for place in [36, 40] {
            let mut changed = bytes.clone();
            changed[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes());
            assert!(CalibrationStatistics::decode(&changed).is_err());
        }
        let mut newer = bytes;
        newer[8] = 9;
        let error = CalibrationStatistics::decode(&newer);
        assert_eq!(error, Err(CalibrationFileError::Version { found: 9 }));
    }

    #[test]
    fn statistics_of_another_model_are_refused() {
        let statistics = collect(SOURCE, &SAMPLES);
        assert_eq!(statistics.check(&model(SOURCE)), Ok(()));
        let reweighted = SOURCE.replace("0.5", "0.25");
        let error = statistics.check(&model(&reweighted)).expect_err("the weights differ");
        assert!(error.to_string().ends_with("they are computed otherwise"), "{error}");
        let longer = SOURCE.replace("y = Relu(s)", "r = Relu(s)\n y = Neg(r)");
        let error = statistics.check(&model(&longer)).expect_err("there is another value");
        assert_eq!(error.missing, ["r"]);
        assert!(error.to_string().ends_with("`r` are missing"), "{error}");
        let mut merged = statistics.clone();
        let error = merged.merge(&collect(&reweighted, &SAMPLES));
        assert!(matches!(error, Err(MergeError::Model { .. })));
        assert_eq!(merged, statistics);
    }

    #[test]
    fn endless_merging_ends() {
        let mut statistics = collect(SOURCE, &SAMPLES);
        let error = (0..80).find_map(|_| statistics.merge(&statistics.clone()).err());
        assert_eq!(error, Some(MergeError::TooMany));
    }
}
