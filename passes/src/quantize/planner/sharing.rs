//! Which values have one scale, and which.
use super::super::placement::{Limits, Support, UNIT};
use super::super::range::{Parameters, Range};
use super::super::target::Side;
use super::{Planner, Reason};
use lapidary_ir::{ElemType, ValueId};

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
        let mut range: Option<Range> = None;
        let mut limits = Limits { low: f32::NEG_INFINITY, high: f32::INFINITY };
        for &source in &sources {
            let found = self.range(source)?;
            let widest = |before: Range| Range {
                min: before.min.min(found.min),
                max: before.max.max(found.max),
            };
            range = Some(range.map_or(found, widest));
            limits = self.limits(source).unwrap_or(limits);
        }
        let name = || self.graph.value(value).name();
        let range = range.ok_or_else(|| Reason::from(format!("`{}` has no source", name())))?;
        let [source] = sources[..] else {
            let found = range.parameters(self.format);
            return found.map_err(|error| format!("`{}` {error}", name()).into());
        };
        if self.fixed(source) == Some(UNIT) && !self.format.power_of_two {
            return Ok(Parameters::unit(self.format));
        }
        let found = range.parameters(self.format);
        let found = found.map_err(|error| {
            Reason::from(format!("`{}` {error}", self.graph.value(source).name()))
        })?;
        match self.limits(source) {
            Some(Limits { low, high }) if self.profile.side == Side::Behind => {
                let within = found.within(low, high, self.format);
                within.ok_or_else(|| format!("`{}` has no scale within its limits", name()).into())
            }
            _ => Ok(found),
        }
    }

    /// The range of what is computed.
    fn range(&self, source: ValueId) -> Result<Range, Reason> {
        if let Some(fixed) = self.fixed(source) {
            return Ok(fixed);
        }
        let name = self.graph.value(source).name();
        if let Some(tensor) = self.graph.constant(source) {
            let numbers = tensor.to_vec::<f32>().unwrap_or_default();
            let wider = |range: Range, &number: &f32| Range {
                min: range.min.min(number),
                max: range.max.max(number),
            };
            let finite = numbers.iter().all(|number| number.is_finite());
            let range = numbers.iter().fold(Range { min: 0.0, max: 0.0 }, wider);
            return if finite { Ok(range) } else { Err(format!("`{name}` is not finite").into()) };
        }
        let found = self.calibration.range(name);
        found.ok_or_else(|| Reason::from(format!("`{name}` was not observed")))
    }

    /// The range of a value that does not depend on what is observed.
    fn fixed(&self, source: ValueId) -> Option<Range> {
        let maker = self.graph.producer(source).filter(|&maker| self.is_integer(maker))?;
        match self.support(maker) {
            Support::Arithmetic { fixed } => *fixed,
            _ => None,
        }
    }

    /// What limits a value where it is made.
    fn limits(&self, source: ValueId) -> Option<Limits> {
        let maker = self.graph.producer(source).filter(|&maker| self.is_integer(maker))?;
        match self.support(maker) {
            Support::Limits(limits) => Some(*limits),
            _ => None,
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
