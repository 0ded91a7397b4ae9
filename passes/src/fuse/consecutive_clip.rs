//! `Relu` and `Clip` in a row.
use super::bounds::Bounds;
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NodeId, Patch};

crate::pass! {
    /// Merges two of `Relu` and `Clip` in a row into one.
    ///
    /// With f the first and g the second, both non-decreasing:
    /// y = min(g(f(∞)), max(g(f(−∞)), x)).
    ///
    /// ```onnx
    /// g (float[8] x) => (float[8] y)
    /// <float six = {6}>
    /// {
    ///     positive = Relu(x)
    ///     y = Clip(positive, , six)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[8] x) => (float[8] y)
    /// <float y_min = {0}, float y_max = {6}>
    /// {
    ///     y = Clip(x, y_min, y_max)
    /// }
    /// ```
    pub struct FuseConsecutiveClip
    name: "fuse-consecutive-clip",
    accuracy: Exact,
    emits: ["Clip", "Relu"],
}

impl Rule for FuseConsecutiveClip {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Relu", "Clip"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let middle = graph[root].input(0).or_no_match()?;
        let first = graph.producer(middle).or_no_match()?;
        let names_a_clip = graph[first].is("Relu") || graph[first].is("Clip");
        if !names_a_clip || graph.only_use(middle).is_none() {
            return Err(Skip::NoMatch);
        }
        let x = graph[first].input(0).or_no_match()?;
        let elem_type = graph.ty(x).elem_type.filter(|elem_type| elem_type.is_float());
        let elem_type = elem_type.or_skip("elements are not known to be floating-point")?;
        let of = |node| Bounds::of(graph, node).or_skip("bounds are not constant and finite");
        let bounds = of(first)?.then(of(root)?);
        // One Clip would keep a −0 between 0 and 0.
        let one = bounds.low.is_some() && bounds.low == bounds.high;
        require(!one, "the bounds leave a single number")?;

        let y = graph[root].output(0).or_no_match()?;
        let bound =
            |value: Option<f64>| value.map(|v| weights::tensor(elem_type, &[], &[v])).transpose();
        let (low, high) = (bound(bounds.low)?, bound(bounds.high)?);
        let mut clip = NewNode::new("Clip").named(graph[root].name.clone()).input(x);
        // Without `max`, a `Clip` takes infinity to the largest number; a `Relu` lets it through.
        if graph[first].is("Relu") && graph[root].is("Relu") {
            clip = clip.op_type("Relu");
        } else if graph.opset() < 11 {
            let limits = [("min", bounds.low), ("max", bounds.high)];
            for (name, limit) in limits {
                clip = limit.into_iter().fold(clip, |clip, v| clip.attribute(name, v as f32));
            }
        } else {
            for (slot, name, limit) in [(1, "min", low), (2, "max", high)] {
                if let Some(limit) = limit {
                    let hint = format!("{}_{name}", graph.value(y).name());
                    clip = clip.with_input(slot, patch.initializer(hint, limit));
                }
            }
        }
        let clip = patch.node(clip);
        patch.replace(y, clip);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rewrite;
    use insta::assert_snapshot;

    #[test]
    fn makes_one_relu_of_two() {
        let source = "
            g (float[8] x) => (float[8] y)
            {
                positive = Relu(x)
                y = Relu(positive)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 1 rewrites
        g (float[8] x) => (float[8] y)
        {
            y = Relu(x)
        }
        ");
    }

    #[test]
    fn does_not_let_infinity_through_that_a_clip_stops() {
        let source = "
            g (float[8] x) => (float[8] y)
            <float low = {-1}>
            {
                positive = Relu(x)
                y = Clip(positive, low)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 1 rewrites
        g (float[8] x) => (float[8] y)
        <float y_min = {0}>
        {
            y = Clip(x, y_min)
        }
        ");
    }

    #[test]
    fn keeps_infinite_bounds() {
        let source = "
            g (float[8] x) => (float[8] y)
            <float infinite = {inf}, float six = {6}>
            {
                same = Clip(x, , infinite)
                y = Clip(same, six)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 0 rewrites
        skipped 1: bounds are not constant and finite
        unchanged
        ");
    }

    #[test]
    fn keeps_clips_that_leave_a_single_number() {
        let source = "
            g (float[8] x) => (float[8] y)
            <float one = {1}, float zero = {0}>
            {
                large = Clip(x, one)
                y = Clip(large, , zero)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 0 rewrites
        skipped 1: the bounds leave a single number
        unchanged
        ");
    }

    #[test]
    fn merges_clips_whose_bounds_are_attributes() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 10]>
            g (float[8] x) => (float[8] y)
            {
                small = Clip<max = 0.5>(x)
                y = Relu(small)
            }
        "#;
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 1 rewrites
        g (float[8] x) => (float[8] y)
        {
            y = Clip <min = 0.0, max = 0.5> (x)
        }
        ");
    }

    #[test]
    fn keeps_bounds_that_are_computed() {
        let source = "
            g (float[8] x, float low) => (float[8] y)
            {
                positive = Relu(x)
                y = Clip(positive, low)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 0 rewrites
        skipped 1: bounds are not constant and finite
        unchanged
        ");
    }

    #[test]
    fn keeps_integers() {
        let source = "
            g (int32[8] x) => (int32[8] y)
            <int32 six = {6}>
            {
                positive = Relu(x)
                y = Clip(positive, , six)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 0 rewrites
        skipped 1: elements are not known to be floating-point
        unchanged
        ");
    }

    #[test]
    fn keeps_a_relu_that_is_read_twice() {
        let source = "
            g (float[8] x) => (float[8] y, float[8] positive)
            <float six = {6}>
            {
                positive = Relu(x)
                y = Clip(positive, , six)
            }
        ";
        assert_snapshot!(rewrite(&FuseConsecutiveClip {}, source), @r"
        fuse-consecutive-clip: 0 rewrites (no match)
        unchanged
        ");
    }
}
