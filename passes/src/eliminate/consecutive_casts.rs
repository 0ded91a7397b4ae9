//! Conversions of conversions.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NodeId, Patch};

crate::pass! {
    /// Merges a `Cast` of a `Cast` into one when the type between holds every number exactly.
    ///
    /// ```onnx
    /// g (int32[1,3] x) => (float[1,3] y)
    /// {
    ///     a = Cast<to = 7>(x)
    ///     y = Cast<to = 1>(a)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (int32[1,3] x) => (float[1,3] y)
    /// {
    ///     y = Cast<to = 1>(x)
    /// }
    /// ```
    pub struct EliminateConsecutiveCasts
    name: "eliminate-consecutive-casts",
    accuracy: Exact,
    emits: [],
}

impl Rule for EliminateConsecutiveCasts {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Cast"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let (middle, y) =
            (graph[root].input(0).or_no_match()?, graph[root].output(0).or_no_match()?);
        let inner = graph.producer(middle).or_no_match()?;
        if !graph[inner].is("Cast") {
            return Err(Skip::NoMatch);
        }
        let x = graph[inner].input(0).or_no_match()?;
        let to = |node: NodeId| graph[node].int("to").and_then(|to| i32::try_from(to).ok());
        let (between, last) = to(inner).zip(to(root)).or_no_match()?;
        let first = graph.ty(x).elem_type.or_skip("the type of the input is unknown")?;
        require(holds(ElemType(between), first), "the type between may lose digits")?;
        if first == ElemType(last) && graph.can_replace(y, x) {
            patch.replace(y, x);
        } else {
            patch.set_input(root, 0, Some(x.into()));
        }
        Ok(())
    }
}

/// Whether every number of type `from` is one of type `to`.
fn holds(to: ElemType, from: ElemType) -> bool {
    if from == to {
        return true;
    }
    match (integer_bits(from), integer_bits(to), significand_bits(to)) {
        (Some((signed, bits)), Some((to_signed, to_bits)), _) => {
            (signed == to_signed && bits <= to_bits) || (!signed && to_signed && bits < to_bits)
        }
        (Some((signed, bits)), _, Some(significand)) => bits - u32::from(signed) <= significand,
        _ => matches!(
            (from, to),
            (ElemType::FLOAT16 | ElemType::BFLOAT16, ElemType::FLOAT | ElemType::DOUBLE)
                | (ElemType::FLOAT, ElemType::DOUBLE)
        ),
    }
}

/// Whether an integer type has a sign, and how many bits; a truth value is an unsigned bit.
fn integer_bits(elem_type: ElemType) -> Option<(bool, u32)> {
    Some(match elem_type {
        ElemType::BOOL => (false, 1),
        ElemType::UINT8 => (false, 8),
        ElemType::UINT16 => (false, 16),
        ElemType::UINT32 => (false, 32),
        ElemType::UINT64 => (false, 64),
        ElemType::INT8 => (true, 8),
        ElemType::INT16 => (true, 16),
        ElemType::INT32 => (true, 32),
        ElemType::INT64 => (true, 64),
        _ => return None,
    })
}

/// Integers of that many bits are exact in a floating-point type.
fn significand_bits(elem_type: ElemType) -> Option<u32> {
    Some(match elem_type {
        ElemType::BFLOAT16 => 8,
        ElemType::FLOAT16 => 11,
        ElemType::FLOAT => 24,
        ElemType::DOUBLE => 53,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::EliminateConsecutiveCasts;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn removes_a_pair_that_comes_back() {
        assert_snapshot!(rewrite(&EliminateConsecutiveCasts {}, "
            g (float[3] x) => (float[3] y)
            {
                a = Relu(x)
                b = Cast<to = 11>(a)
                y = Cast<to = 1>(b)
            }
        "), @r"
        eliminate-consecutive-casts: 1 rewrites
        g (float[3] x) => (float[3] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn keeps_a_pair_that_rounds() {
        assert_snapshot!(rewrite(&EliminateConsecutiveCasts {}, "
            g (float[3] x) => (float[3] y)
            {
                a = Cast<to = 7>(x)
                y = Cast<to = 1>(a)
            }
        "), @r"
        eliminate-consecutive-casts: 0 rewrites
        skipped 1: the type between may lose digits
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pair_through_bool() {
        assert_snapshot!(rewrite(&EliminateConsecutiveCasts {}, "
            g (int64[3] x) => (int64[3] y)
            {
                a = Cast<to = 9>(x)
                y = Cast<to = 7>(a)
            }
        "), @r"
        eliminate-consecutive-casts: 0 rewrites
        skipped 1: the type between may lose digits
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pair_of_unknown_type() {
        assert_snapshot!(rewrite_unexecuted(&EliminateConsecutiveCasts {}, r#"
            <ir_version: 8, opset_import: ["" : 18, "custom" : 1]>
            g (float[3] x) => (float[3] y)
            {
                a = custom.Mystery(x)
                b = Cast<to = 11>(a)
                y = Cast<to = 1>(b)
            }
        "#), @r"
        eliminate-consecutive-casts: 0 rewrites
        skipped 1: the type of the input is unknown
        unchanged
        ");
    }
}
