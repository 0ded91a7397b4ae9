//! `MatMul` with transposed inputs and constant factors.
use super::super::scalar;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Patch, ValueId};

crate::pass! {
    /// Makes a `com.microsoft.FusedMatMul` of a `MatMul`, transposed inputs and constant factors.
    ///
    /// alpha · a' · b', where a' and b' may swap the last two dimensions of a and b.
    ///
    /// Opt-in: ONNX Runtime alone has the operator.
    ///
    /// ```onnx
    /// g (float[2,3,4] a, float[2,5,4] b) => (float[2,3,5] y)
    /// <float eight = {8}>
    /// {
    ///     transposed = Transpose <perm = [0, 2, 1]> (b)
    ///     product = MatMul(a, transposed)
    ///     y = Div(product, eight)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] a, float[2,5,4] b) => (float[2,3,5] y)
    /// {
    ///     y = com.microsoft.FusedMatMul <transB = 1, alpha = 0.125> (a, b)
    /// }
    /// ```
    pub struct FuseScaledMatMul
    name: "fuse-scaled-mat-mul",
    accuracy: Rounding,
    emits: ["com.microsoft.FusedMatMul"],
}

impl Rule for FuseScaledMatMul {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["MatMul"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let mut y = node.output(0).or_no_match()?;
        let mut alpha = 1.0;
        let mut fused = NewNode::like(graph, root).domain("com.microsoft").op_type("FusedMatMul");
        let mut found = false;
        for (slot, attribute) in [(0, "transA"), (1, "transB")] {
            let mut operand = Operand::of(node.input(slot).or_no_match()?);
            found |= operand.simplify(graph);
            alpha *= operand.factor;
            fused = fused.with_input(slot, operand.value);
            if operand.transposed {
                fused = fused.attribute(attribute, 1);
            }
        }
        while let Some((output, factor)) = factor_behind(graph, y) {
            (y, alpha, found) = (output, alpha * factor, true);
        }
        if !found {
            return Err(Skip::NoMatch);
        }
        let float = graph.ty(y).elem_type == Some(ElemType::FLOAT);
        require(float, "the operator is for float only")?;
        let rounded = alpha as f32;
        require(rounded.is_normal(), "the factor leaves the range of float")?;
        if rounded != 1.0 {
            fused = fused.attribute("alpha", rounded);
        }
        let fused = patch.node(fused);
        patch.replace(y, fused);
        Ok(())
    }
}

/// factor · value, with the last two dimensions swapped or not.
struct Operand {
    value: ValueId,
    factor: f64,
    transposed: bool,
}

impl Operand {
    fn of(value: ValueId) -> Self {
        Self { value, factor: 1.0, transposed: false }
    }

    /// Walks up through factors and transpositions only this operand reads. Whether there is any.
    fn simplify(&mut self, graph: &Graph) -> bool {
        let before = self.value;
        while let Some(id) = graph.producer(self.value) {
            if graph.only_use(self.value).is_none() {
                break;
            }
            if let Some((value, factor)) = factor_of(graph, id) {
                (self.value, self.factor) = (value, self.factor * factor);
            } else if let Some(value) = swapped(graph, id) {
                (self.value, self.transposed) = (value, !self.transposed);
            } else {
                break;
            }
        }
        self.value != before
    }
}

/// The input of a product or quotient by a constant, and the factor.
fn factor_of(graph: &Graph, id: NodeId) -> Option<(ValueId, f64)> {
    if graph[id].is("Mul") {
        return scalar::either(graph, id);
    }
    let (value, divisor) = scalar::right(graph, id).filter(|_| graph[id].is("Div"))?;
    Some((value, 1.0 / divisor))
}

/// The output of a product or quotient by a constant that alone reads `value`, and the factor.
fn factor_behind(graph: &Graph, value: ValueId) -> Option<(ValueId, f64)> {
    let reader = graph.only_use(value)?.node;
    let (input, factor) = factor_of(graph, reader)?;
    Some((graph[reader].output(0)?, factor)).filter(|_| input == value)
}

/// The input of a `Transpose` that swaps the last two dimensions.
fn swapped(graph: &Graph, id: NodeId) -> Option<ValueId> {
    let node = &graph[id];
    let input = node.input(0).filter(|_| node.is("Transpose"))?;
    let rank = i64::try_from(graph.ty(input).rank()?).ok()?;
    let perm = match node.ints("perm") {
        Some(perm) => perm.to_vec(),
        None => (0..rank).rev().collect(),
    };
    let swaps = rank >= 2 && (0..rank - 2).chain([rank - 1, rank - 2]).eq(perm);
    swaps.then_some(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    #[test]
    fn takes_factors_from_inputs_and_output() {
        let source = "
            g (float[2,4,3] a, float[4,5] b) => (float[2,3,5] y)
            <float two = {2}, float[1,1] half = {0.5}>
            {
                a1 = Mul(two, a)
                a2 = Transpose <perm = [0, 2, 1]> (a1)
                b1 = Div(b, half)
                p = MatMul(a2, b1)
                y = Mul(p, two)
            }
        ";
        assert_snapshot!(rewrite(&FuseScaledMatMul {}, source), @r"
        fuse-scaled-mat-mul: 1 rewrites
        g (float[2,4,3] a, float[4,5] b) => (float[2,3,5] y)
        {
            y = com.microsoft.FusedMatMul <transA = 1, alpha = 8.0> (a, b)
        }
        ");
    }

    #[test]
    fn keeps_what_is_read_elsewhere_and_other_permutations() {
        let source = "
            g (float[3,2,4] a, float[4,5] b) => (float[2,3,5] y, float[2,3,5] p, float[4,5] b1)
            <float two = {2}>
            {
                a1 = Transpose <perm = [1, 0, 2]> (a)
                b1 = Mul(b, two)
                p = MatMul(a1, b1)
                y = Mul(p, two)
            }
        ";
        assert_snapshot!(rewrite(&FuseScaledMatMul {}, source), @r"
        fuse-scaled-mat-mul: 0 rewrites (no match)
        unchanged
        ");
    }

    #[test]
    fn keeps_doubles() {
        let source = "
            g (double[2,4] a, double[4,5] b) => (double[2,5] y)
            <double two = {2}>
            {
                p = MatMul(a, b)
                y = Mul(p, two)
            }
        ";
        assert_snapshot!(rewrite(&FuseScaledMatMul {}, source), @r"
        fuse-scaled-mat-mul: 0 rewrites
        skipped 1: the operator is for float only
        unchanged
        ");
    }

    #[test]
    fn keeps_a_factor_of_infinity() {
        let source = "
            g (float[2,4] a, float[4,5] b) => (float[2,5] y)
            <float zero = {0}>
            {
                p = MatMul(a, b)
                y = Div(p, zero)
            }
        ";
        assert_snapshot!(rewrite_unexecuted(&FuseScaledMatMul {}, source), @r"
        fuse-scaled-mat-mul: 0 rewrites
        skipped 1: the factor leaves the range of float
        unchanged
        ");
    }
}
