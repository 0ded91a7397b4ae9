//! `Swish`.
use super::super::product::Product;
use super::super::region::require_closed;
use super::super::scalar;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch, ValueId};

/// An occurrence of x · sigmoid(alpha · x).
pub(in crate::fuse) struct SwishSite {
    pub(in crate::fuse) x: ValueId,
    pub(in crate::fuse) alpha: f32,
}

crate::pass! {
    /// Makes a `Swish` of a product of x and the `Sigmoid` of its multiple.
    ///
    /// x · sigmoid(alpha · x)
    ///
    /// Opt-in: ONNX Runtime computes a `Swish` in more steps than what is written here in two.
    ///
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 24]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     gate = Sigmoid(x)
    ///     y = Mul(x, gate)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// <ir_version: 11, opset_import: ["" : 24]>
    /// g (float[2,4] x) => (float[2,4] y)
    /// {
    ///     y = Swish(x)
    /// }
    /// ```
    pub struct FuseSwish
    name: "fuse-swish",
    accuracy: Rounding,
    emits: ["Swish"],
}

impl SwishSite {
    /// The site whose last node is `root`, a `Mul`.
    pub(in crate::fuse) fn find(graph: &Graph, root: NodeId) -> Result<Self, Skip> {
        let y = Product::of(graph, graph[root].output(0).or_no_match()?);
        let argument = |&x: &ValueId| {
            let gate = graph.producer(y.other(x)?).filter(|&id| graph[id].is("Sigmoid"))?;
            let argument = Product::of(graph, graph[gate].input(0)?);
            (argument.factors == [x]).then_some((x, argument.constant))
        };
        let (x, alpha) = y.factors.iter().find_map(argument).or_no_match()?;
        require(y.constant == 1.0, "the product has a constant factor")?;
        let rounded = alpha as f32;
        let exact = scalar::is_near(f64::from(rounded), alpha, None);
        let double = graph.ty(x).elem_type == Some(ElemType::DOUBLE);
        let fits = exact && (!double || f64::from(rounded) == alpha);
        require(fits, "the factor in the gate is no float")?;
        require_closed(graph, root, &[x])?;
        Ok(Self { x, alpha: rounded })
    }
}

impl Rule for FuseSwish {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let site = SwishSite::find(graph, root)?;
        let y = graph[root].output(0).or_no_match()?;
        let mut node = NewNode::new("Swish").named(graph[root].name.clone()).input(site.x);
        if site.alpha != 1.0 {
            node = node.attribute("alpha", site.alpha);
        }
        let node = patch.node(node);
        patch.replace(y, node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    const HEADER: &str = r#"<ir_version: 11, opset_import: ["" : 24]>"#;

    #[test]
    fn keeps_the_factor_of_the_gate() {
        let source = format!(
            "{HEADER} g (float[2,4] x) => (float[2,4] y) <float alpha = {{1.702}}>
             {{ steep = Mul(x, alpha) gate = Sigmoid(steep) y = Mul(x, gate) }}"
        );
        assert_snapshot!(rewrite_unexecuted(&FuseSwish {}, &source), @r"
        fuse-swish: 1 rewrites
        g (float[2,4] x) => (float[2,4] y)
        {
            y = Swish <alpha = 1.702> (x)
        }
        ");
    }

    #[test]
    fn keeps_a_product_of_three() {
        let source = format!(
            "{HEADER} g (float[2,4] x) => (float[2,4] y) <float two = {{2}}>
             {{ gate = Sigmoid(x) double = Mul(gate, two) y = Mul(x, double) }}"
        );
        assert_snapshot!(rewrite(&FuseSwish {}, &source), @r"
        fuse-swish: 0 rewrites
        skipped 1: the product has a constant factor
        unchanged
        ");
    }

    #[test]
    fn keeps_a_factor_that_is_no_float() {
        let source = format!(
            "{HEADER} g (double[2,4] x) => (double[2,4] y) <double alpha = {{1.702}}>
             {{ steep = Mul(x, alpha) gate = Sigmoid(steep) y = Mul(x, gate) }}"
        );
        assert_snapshot!(rewrite_unexecuted(&FuseSwish {}, &source), @r"
        fuse-swish: 0 rewrites
        skipped 1: the factor in the gate is no float
        unchanged
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere() {
        let source = format!(
            "{HEADER} g (float[2,4] x) => (float[2,4] y, float[2,4] gate)
             {{ gate = Sigmoid(x) y = Mul(x, gate) }}"
        );
        assert_snapshot!(rewrite(&FuseSwish {}, &source), @r"
        fuse-swish: 0 rewrites
        skipped 1: an intermediate value is read elsewhere
        unchanged
        ");
    }
}
