//! Calibration statistics.
use super::{grouped, json, table};
use lapidary::exec::ValueStatistics;
use lapidary::passes::quantize::{
    CalibrationStatistics, IntegerFormat, Limits, Range, RangeMethod,
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Written {
    model: String,
    samples: u64,
    values: usize,
    bytes: u64,
}

/// Says what was written.
pub(crate) fn calibration_written(statistics: &CalibrationStatistics, bytes: u64, as_json: bool) {
    let report = Written {
        model: statistics.model.to_string(),
        samples: statistics.samples,
        values: statistics.values.len(),
        bytes,
    };
    if as_json {
        return json("calibrate", &report);
    }
    println!("model        {}", report.model);
    println!("samples      {}", grouped(report.samples));
    println!("values       {}", grouped(report.values as u64));
    println!("file         {} bytes", grouped(report.bytes));
}

#[derive(Serialize)]
struct Report<'a> {
    model: String,
    samples: u64,
    values: Vec<Value<'a>>,
}

#[derive(Serialize)]
struct Value<'a> {
    name: &'a str,
    count: u64,
    /// Numbers that are infinite or no numbers.
    not_finite: u64,
    min: Option<f32>,
    max: Option<f32>,
    mean: Option<f64>,
    std: Option<f64>,
    /// By method, for `uint8`; none where not only finite numbers occurred.
    ranges: BTreeMap<String, Option<[f32; 2]>>,
}

impl<'a> Value<'a> {
    fn new(name: &'a str, statistics: &ValueStatistics, methods: &[RangeMethod]) -> Self {
        let numbers = &statistics.numbers;
        let range = |method: &RangeMethod| {
            let found = method.range(statistics, IntegerFormat::UINT8, Limits::NONE);
            let finite = found.filter(|range| range.min.is_finite() && range.max.is_finite());
            (method.to_string(), finite.map(|Range { min, max }| [min, max]))
        };
        Self {
            name,
            count: numbers.count(),
            not_finite: numbers.nans() + numbers.infinities(),
            min: numbers.min(),
            max: numbers.max(),
            mean: numbers.mean(),
            std: numbers.std(),
            ranges: methods.iter().map(range).collect(),
        }
    }
}

/// Prints statistics with the ranges that a method chooses, in JSON those of all methods.
pub(crate) fn calibration(statistics: &CalibrationStatistics, method: RangeMethod, as_json: bool) {
    let methods: &[RangeMethod] = if as_json { &RangeMethod::ALL } else { &[method] };
    let value = |(name, statistics)| Value::new(name, statistics, methods);
    let values = statistics.values.iter().map(|(name, s)| value((name.as_str(), &**s))).collect();
    let report =
        Report { model: statistics.model.to_string(), samples: statistics.samples, values };
    if as_json {
        return json("inspect-calibration", &report);
    }
    println!("model        {}", report.model);
    println!("samples      {}", grouped(report.samples));
    println!("values       {}\n", grouped(report.values.len() as u64));
    let number = |number: Option<f64>| number.map_or_else(String::new, |x| format!("{x:.4}"));
    let rows = report.values.iter().map(|value| {
        let range = value.ranges.values().next().copied().flatten();
        let range = match range {
            Some([min, max]) => format!("{min:.4} … {max:.4}"),
            None if value.not_finite > 0 => format!("{} not finite", grouped(value.not_finite)),
            None => String::new(),
        };
        vec![
            value.name.to_owned(),
            grouped(value.count),
            number(value.min.map(f64::from)),
            number(value.max.map(f64::from)),
            number(value.mean),
            number(value.std),
            range,
        ]
    });
    let title = method.to_string();
    let header = ["value", "numbers", "min", "max", "mean", "std", &title];
    println!("{}", table(&header, rows.collect()));
}
