//! Averages of windows.
use super::Written;
use super::arithmetic::arithmetic;
use super::unit::{Reason, Unit};

/// `QLinearAveragePool` knows no dilations. Windows that reach over the end are left alone: what they are divided by
/// differs between versions of the operator.
pub(super) fn average(unit: &Unit<'_>) -> Result<Written, Reason> {
    let node = unit.node;
    if node.ints("dilations").is_some_and(|steps| steps.iter().any(|&step| step != 1)) {
        return Err("the pool is dilated".into());
    }
    if node.int("ceil_mode").unwrap_or(0) != 0 {
        return Err("windows reach over the end".into());
    }
    let name = format!("QLinear{}", node.op_type);
    arithmetic(unit, &name, |node| node.without_attribute("dilations"))
}
