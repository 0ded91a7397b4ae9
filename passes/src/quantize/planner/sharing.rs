//! Which values have one scale, and which.
use super::super::placement::Support;
use super::super::range::{FixedRange, Limits, Parameters, Range};
use super::super::target::Side;
use super::{Planner, Reason};
use lapidary_ir::{ElemType, Tensor, ValueId};

impl Planner<'_> {
    /// The values the numbers of `value` come from unchanged: itself unless it is moved or, where a `Concat` has one scale,
    /// joined from elsewhere; in that case also what else is joined with them. In the order of their ids.
    fn sources(&self, value: ValueId) -> Vec<ValueId> {
        if !self.profile.shared_concat {
            return vec![self.origin(value)];
        }
        let mut group = vec![value];
        let mut next = 0;
        while let Some(&member) = group.get(next) {
            next += 1;
            let maker = self.graph.producer(member).into_iter();
            for id in maker.chain(self.graph.consumers(member)) {
                let node = &self.graph[id];
                let joined = match self.support(id) {
                    _ if !self.is_integer(id) => continue,
                    Support::Movement => &node.inputs()[..1],
                    Support::Pool if node.is("MaxPool") => &node.inputs()[..1],
                    _ if node.is("Concat") => node.inputs(),
                    _ => continue,
                };
                let joined: Vec<ValueId> =
                    joined.iter().chain(node.outputs()).flatten().copied().collect();
                if joined.contains(&member) {
                    for other in joined {
                        if !group.contains(&other) {
                            group.push(other);
                        }
                    }
                }
            }
        }
        let computed = |&value: &ValueId| match self.graph.producer(value) {
            Some(id) if self.is_integer(id) => {
                let moved = *self.support(id) == Support::Movement;
                !moved && !self.graph[id].is("Concat") && !self.graph[id].is("MaxPool")
            }
            _ => true,
        };
        group.retain(computed);
        group.sort();
        group
    }

    /// The value whose numbers a value has: itself unless it is moved from elsewhere.
    fn origin(&self, mut value: ValueId) -> ValueId {
        while let Some(producer) = self.graph.producer(value)
            && self.is_integer(producer)
            && *self.support(producer) == Support::Movement
            && let Some(input) = self.graph[producer].input(0)
        {
            value = input;
        }
        value
    }

    /// The value after which the scale of `value` is named.
    pub(super) fn owner(&self, value: ValueId) -> ValueId {
        self.sources(value).first().copied().unwrap_or(value)
    }

    /// The parameters of a value, or why there are none.
    pub(super) fn parameters(&self, value: ValueId) -> Result<Parameters, Reason> {
        let sources = self.sources(value);
        if let [source] = sources[..] {
            return self.own_parameters(source);
        }
        if let Some(&known) = sources.iter().find(|&&it| self.existing.parameters(it).is_some()) {
            let known = self.graph.value(known).name();
            return Err(format!("it is joined with `{known}`, which is quantized already").into());
        }
        let mut widest = Range { min: 0.0, max: 0.0 };
        for &source in &sources {
            let Range { min, max } = self.range(source)?;
            widest = Range { min: widest.min.min(min), max: widest.max.max(max) };
        }
        let named = |error| format!("`{}` {error}", self.graph.value(value).name()).into();
        widest.parameters(self.format).map_err(named)
    }

    /// The parameters of a value nothing is joined with.
    fn own_parameters(&self, source: ValueId) -> Result<Parameters, Reason> {
        let name = self.graph.value(source).name();
        let named = |error: &dyn std::fmt::Display| Reason::from(format!("`{name}` {error}"));
        if let Some(found) = self.existing.parameters(source) {
            return found.clone();
        }
        if let Some(fixed) = self.fixed(source).filter(|_| !self.format.power_of_two) {
            return Ok(fixed.parameters(self.format));
        }
        if self.fixed(source).is_some() || self.graph.constant(source).is_some() {
            let found = self.range(source)?.parameters(self.format);
            return found.map_err(|error| named(&error));
        }
        let limits = match self.profile.side {
            Side::Behind => self.limits(source),
            Side::Before => Limits::NONE,
        };
        let found = self.calibration.parameters(name, self.format, self.method, limits);
        found.map_err(|error| named(&error))
    }

    /// The range of what is computed.
    fn range(&self, source: ValueId) -> Result<Range, Reason> {
        let name = self.graph.value(source).name();
        if let Some(fixed) = self.fixed(source) {
            return Ok(fixed.range());
        }
        let found = match self.graph.constant(source) {
            Some(tensor) => constant_range(tensor),
            None => {
                let limits = self.limits(source);
                self.calibration.range_by(name, self.format, self.method, limits)
            }
        };
        found.ok_or_else(|| Reason::from(format!("`{name}` was not observed")))
    }

    /// The range of a value that does not depend on what is observed.
    fn fixed(&self, source: ValueId) -> Option<FixedRange> {
        let maker = self.graph.producer(source).filter(|&maker| self.is_integer(maker))?;
        match self.support(maker) {
            Support::Arithmetic { fixed } => *fixed,
            _ => None,
        }
    }

    /// What limits a value where it is made.
    fn limits(&self, source: ValueId) -> Limits {
        let maker = self.graph.producer(source).filter(|&maker| self.is_integer(maker));
        match maker.map(|maker| self.support(maker)) {
            Some(Support::Limits(limits)) => *limits,
            _ => Limits::NONE,
        }
    }

    /// Why a value can't be quantized.
    pub(super) fn unquantizable(&self, value: ValueId) -> Option<Reason> {
        let (found, name) = (self.graph.value(value), self.graph.value(value).name());
        if found.initializer().is_some() && self.graph.constant(value).is_none() {
            return Some(format!("`{name}` may be overridden by the caller").into());
        }
        // Elsewhere a sum with a constant is more exact, and no slower, in floating point.
        if found.initializer().is_some() && !self.profile.islands {
            return Some(format!("`{name}` is constant").into());
        }
        match found.elem_type() {
            Some(ElemType::FLOAT) | None => self.parameters(value).err(),
            Some(other) => Some(format!("`{name}` is {other}").into()),
        }
    }
}

/// The smallest and largest number of a constant and 0; nothing if they are no finite `float` numbers.
fn constant_range(tensor: &Tensor) -> Option<Range> {
    let numbers = tensor.to_vec::<f32>()?;
    if !numbers.iter().all(|number| number.is_finite()) {
        return None;
    }
    let wider = |range: Range, &number: &f32| Range {
        min: range.min.min(number),
        max: range.max.max(number),
    };
    Some(numbers.iter().fold(Range { min: 0.0, max: 0.0 }, wider))
}
