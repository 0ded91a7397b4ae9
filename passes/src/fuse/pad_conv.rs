//! `Pad` before `Conv` or `ConvInteger`.
use super::padding;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NewNode, NoMatch, NodeId, Patch, ValueId, pattern};

crate::pass! {
    /// Lets a `Conv` or `ConvInteger` pad with the zeros that a `Pad` puts around its input.
    ///
    /// pads' = pads + amounts, on the spatial axes.
    ///
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,4,9,8] y)
    /// <float[4,3,3,3] w, int64[8] amounts = {0, 0, 1, 0, 0, 0, 2, 2}>
    /// {
    ///     padded = Pad(x, amounts)
    ///     y = Conv(padded, w)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[1,3,8,8] x) => (float[1,4,9,8] y)
    /// <float[4,3,3,3] w>
    /// {
    ///     y = Conv <pads = [1, 0, 2, 2]> (x, w)
    /// }
    /// ```
    pub struct FusePadConv
    name: "fuse-pad-conv",
    accuracy: Rounding,
    emits: ["Conv", "ConvInteger"],
}

pattern! {
    struct Real {
        pad = Pad(x: ValueId, amounts: Option<ValueId>, value: Option<ValueId>, axes: Option<ValueId>);
        y = Conv(pad, w: ValueId, b: Option<ValueId>);
    }
}

pattern! {
    struct Integer {
        pad = Pad(x: ValueId, amounts: Option<ValueId>, value: Option<ValueId>, axes: Option<ValueId>);
        y = ConvInteger(pad, w: ValueId, x_zero: Option<ValueId>, w_zero: Option<ValueId>);
    }
}

impl Rule for FusePadConv {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Conv", "ConvInteger"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let (pad, x, w) = match Real::find(graph, root) {
            Ok(site) => (site.pad, site.x, site.w),
            Err(NoMatch) => {
                let site = Integer::find(graph, root)?;
                let zero = |id| graph.constant(id).and_then(|zero| zero.as_i64()) == Some(0);
                // `ConvInteger` pads with the number that stands for zero.
                require(
                    site.x_zero.is_none_or(zero),
                    "zero point of the input is not known to be 0",
                )?;
                (site.pad, site.x, site.w)
            }
        };
        let rank = graph.ty(w).rank().or(graph.ty(x).rank()).or_skip("rank is not known")?;
        let before = padding::pads(&graph[root], rank.saturating_sub(2))?;
        let zeros = padding::spatial_zeros(graph, pad, rank)?;

        let y = graph[root].output(0).or_no_match()?;
        let conv = NewNode::like(graph, root)
            .with_input(0, x)
            .without_attribute("auto_pad")
            .attribute("pads", padding::sum(&before, &zeros));
        let conv = patch.node(conv);
        patch.replace(y, conv);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn adds_to_the_padding_there_is() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,10,10] y)
            <float[4,3,3,3] w, float[4] b, int64[4] amounts = {1, 1, 1, 1}, float zero = {0}, int64[2] axes = {-1, 2}>
            {
                padded = Pad(x, amounts, zero, axes)
                y = Conv<pads = [1, 1, 1, 1]>(padded, w, b)
            }
        ";
        assert_snapshot!(rewrite(&FusePadConv {}, source), @r"
        fuse-pad-conv: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,4,10,10] y)
        <float[4,3,3,3] w, float[4] b = {0.96875, -0.09375, 0.109375, 0.375}>
        {
            y = Conv <pads = [2, 2, 2, 2]> (x, w, b)
        }
        ");
    }

    #[test]
    fn replaces_the_lack_of_padding_by_name() {
        let source = r#"
            <ir_version: 4, opset_import: ["" : 10]>
            g (float[1,3,8,8] x) => (float[1,4,8,8] y)
            <float[4,3,3,3] w>
            {
                padded = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(x)
                y = Conv<auto_pad = "VALID">(padded, w)
            }
        "#;
        assert_snapshot!(rewrite(&FusePadConv {}, source), @r"
        fuse-pad-conv: 1 rewrites
        g (float[1,3,8,8] x) => (float[1,4,8,8] y)
        <float[4,3,3,3] w>
        {
            y = Conv <pads = [1, 1, 1, 1]> (x, w)
        }
        ");
    }

    #[test]
    fn pads_an_integer_conv() {
        let source = "
            g (uint8[1,3,8,8] x) => (int32[1,4,8,8] y)
            <uint8[4,3,3,3] w, uint8 zero = {0}, int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
            {
                padded = Pad(x, amounts)
                y = ConvInteger(padded, w, zero)
            }
        ";
        assert_snapshot!(rewrite(&FusePadConv {}, source), @r"
        fuse-pad-conv: 1 rewrites
        g (uint8[1,3,8,8] x) => (int32[1,4,8,8] y)
        <uint8[4,3,3,3] w, uint8 zero = {0}>
        {
            y = ConvInteger <pads = [1, 1, 1, 1]> (x, w, zero)
        }
        ");
    }

    #[test]
    fn keeps_zeros_that_do_not_stand_for_zero() {
        let source = "
            g (uint8[1,3,8,8] x) => (int32[1,4,8,8] y)
            <uint8[4,3,3,3] w, uint8 zero = {128}, int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
            {
                padded = Pad(x, amounts)
                y = ConvInteger(padded, w, zero)
            }
        ";
        assert_snapshot!(rewrite(&FusePadConv {}, source), @r"
        fuse-pad-conv: 0 rewrites
        skipped 1: zero point of the input is not known to be 0
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pad_that_is_read_twice() {
        let source = "
            g (float[1,3,8,8] x) => (float[1,4,8,8] y, float[1,3,10,10] padded)
            <float[4,3,3,3] w, int64[8] amounts = {0, 0, 1, 1, 0, 0, 1, 1}>
            {
                padded = Pad(x, amounts)
                y = Conv(padded, w)
            }
        ";
        assert_snapshot!(rewrite(&FusePadConv {}, source), @r"
        fuse-pad-conv: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_a_pad_of_unknown_rank() {
        let source = "
            g (float[] x, float[] w, int64[8] amounts) => (float[] y)
            {
                padded = Pad(x, amounts)
                y = Conv(padded, w)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FusePadConv {}, source), @r"
        fuse-pad-conv: 0 rewrites
        skipped 1: rank is not known
        unchanged
        ");
    }
}
