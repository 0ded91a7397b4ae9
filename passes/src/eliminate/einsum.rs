//! `Einsum` that other operators express.
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{ElemType, Graph, NewNode, NodeId, Operand, Patch, Tensor, ValueId};

/// More nodes than these are no gain.
const MAX_NODES: usize = 3;

crate::pass! {
    /// Replaces an `Einsum` by `MatMul`, `Mul`, `ReduceSum` and `Transpose`.
    ///
    /// Of two operands: a product of matrices, with at most two transpositions, when one label is summed and
    /// each operand keeps one of its own; a product element by element when both have the same labels, then
    /// summed. Of one operand: a sum, then a transposition.
    ///
    /// ```onnx
    /// g (float[2,3,4] a, float[2,5,4] b) => (float[2,3,5] y)
    /// {
    ///     y = Einsum <equation = "bid,bjd->bij"> (a, b)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] a, float[2,5,4] b) => (float[2,3,5] y)
    /// {
    ///     b_transposed = Transpose <perm = [0, 2, 1]> (b)
    ///     y = MatMul(a, b_transposed)
    /// }
    /// ```
    pub struct EliminateEinsum
    name: "eliminate-einsum",
    accuracy: Rounding,
    emits: ["MatMul", "Mul", "ReduceSum", "Transpose"],
}

impl Rule for EliminateEinsum {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Einsum"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let node = &graph[root];
        let equation = node.string("equation").and_then(Equation::parse);
        let equation = equation.or_skip("the equation has an ellipsis or repeats a label")?;
        let operands: Option<Vec<ValueId>> = node.inputs().iter().copied().collect();
        let operands = operands.or_no_match()?;
        let float = |&value: &ValueId| {
            let elem_type = graph.ty(value).elem_type;
            elem_type.is_some_and(|elem_type| {
                elem_type == ElemType::FLOAT || elem_type == ElemType::DOUBLE
            })
        };
        require(operands.iter().all(float), "elements are not known to be float or double")?;
        require(graph.opset() >= 13, "the axes of ReduceSum are an attribute before opset 13")?;
        let fits = equation.fits(graph, &operands);
        require(fits, "dimensions of one label are not known to be the same")?;

        let steps = equation.steps().or_skip("other operators do not express the equation")?;
        require(steps.len() <= MAX_NODES, "it takes more than three nodes")?;
        let y = node.output(0).or_no_match()?;
        let mut found: Vec<Operand> = operands.iter().map(|&value| value.into()).collect();
        for (index, step) in steps.iter().enumerate() {
            let step_node = step.node(graph, &operands, &found, patch);
            let made = patch.node(step_node.named(format!("{}_{index}", node.label(graph))));
            match step {
                Step::Transpose(operand, _) => found[*operand] = made,
                _ => found = vec![made],
            }
        }
        // A sum of nothing is a copy.
        if steps.is_empty() {
            require(graph.can_replace(y, operands[0]), "the graph output has to keep its name")?;
        }
        patch.replace(y, found[0]);
        Ok(())
    }
}

/// The labels of operands and output.
struct Equation {
    terms: Vec<Vec<u8>>,
    output: Vec<u8>,
}

/// What makes a new operand of old ones.
enum Step {
    /// Of operand `.0`, by this permutation.
    Transpose(usize, Vec<i64>),
    /// Of both operands, in this order.
    MatMul(usize, usize),
    Mul,
    /// Of the first operand.
    Sum(Vec<i64>),
}

impl Equation {
    /// None for what is not followed: an ellipsis, a diagonal, more than two operands.
    fn parse(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|letter| *letter != ' ').collect();
        let (terms, output) = match text.split_once("->") {
            Some((terms, output)) => (terms.to_owned(), Some(output.as_bytes().to_vec())),
            None => (text, None),
        };
        let terms: Vec<Vec<u8>> = terms.split(',').map(|term| term.as_bytes().to_vec()).collect();
        let all = terms.concat();
        // Without an output: the labels that occur once, in alphabetical order.
        let output = output.unwrap_or_else(|| {
            let once = |label: &u8| all.iter().filter(|other| *other == label).count() == 1;
            let mut labels: Vec<u8> = all.iter().copied().filter(once).collect();
            labels.sort_unstable();
            labels
        });
        let distinct = |labels: &Vec<u8>| {
            let letters = labels.iter().all(u8::is_ascii_alphabetic);
            letters && (1..labels.len()).all(|index| !labels[..index].contains(&labels[index]))
        };
        let known = output.iter().all(|label| all.contains(label));
        let plain = terms.iter().chain([&output]).all(distinct) && terms.len() <= 2 && known;
        plain.then_some(Self { terms, output })
    }

    /// Whether ranks are those of the terms and a label has the same extent everywhere.
    fn fits(&self, graph: &Graph, operands: &[ValueId]) -> bool {
        let shapes: Option<Vec<_>> =
            operands.iter().map(|&value| graph.ty(value).shape.as_deref()).collect();
        let Some(shapes) = shapes else { return false };
        let ranks = shapes.len() == self.terms.len()
            && shapes.iter().zip(&self.terms).all(|(shape, term)| shape.len() == term.len());
        let [a, .., b] = &self.terms[..] else { return ranks };
        let same = |(axis, label): (usize, &u8)| {
            let other = b.iter().position(|other| other == label);
            other.is_none_or(|other| shapes[0][axis] == shapes[shapes.len() - 1][other])
        };
        ranks && a.iter().enumerate().all(same)
    }

    fn steps(&self) -> Option<Vec<Step>> {
        match &self.terms[..] {
            [a] => Some(self.reduction(a)),
            [a, b] if a == b => Some([Step::Mul].into_iter().chain(self.reduction(a)).collect()),
            [a, b] => {
                let ways = [self.product(a, b, false), self.product(b, a, true)];
                ways.into_iter().flatten().min_by_key(Vec::len)
            }
            _ => None,
        }
    }

    /// The sum over labels the output lacks, then the order of the output.
    fn reduction(&self, term: &[u8]) -> Vec<Step> {
        let kept = |label: &u8| self.output.contains(label);
        let axes: Vec<i64> =
            (0..).zip(term).filter(|(_, label)| !kept(label)).map(|(axis, _)| axis).collect();
        let rest: Vec<u8> = term.iter().copied().filter(kept).collect();
        let mut steps = Vec::new();
        if !axes.is_empty() {
            steps.push(Step::Sum(axes));
        }
        steps.extend(transposition(0, &rest, &self.output));
        steps
    }

    /// left · right as matrices, batches first.
    fn product(&self, left: &[u8], right: &[u8], swapped: bool) -> Option<Vec<Step>> {
        let out = |label: &u8| self.output.contains(label);
        let own = |term: &[u8], other: &[u8]| {
            let mut own = term.iter().filter(|label| !other.contains(label));
            let only = own.next().copied()?;
            (own.next().is_none() && out(&only)).then_some(only)
        };
        let (row, column) = (own(left, right)?, own(right, left)?);
        let mut summed = left.iter().filter(|label| !out(label));
        let inner = *summed.next()?;
        if summed.next().is_some() || !right.contains(&inner) {
            return None;
        }
        let shared = |label: &u8| left.contains(label) && right.contains(label);
        let batch: Vec<u8> = self.output.iter().copied().filter(shared).collect();
        let with = |a, b| [&batch[..], &[a, b]].concat();
        let (first, second) = if swapped { (1, 0) } else { (0, 1) };
        let mut steps = Vec::new();
        steps.extend(transposition(first, left, &with(row, inner)));
        steps.extend(transposition(second, right, &with(inner, column)));
        steps.push(Step::MatMul(first, second));
        steps.extend(transposition(0, &with(row, column), &self.output));
        Some(steps)
    }
}

/// What brings labels into another order, if it is another one.
fn transposition(operand: usize, from: &[u8], to: &[u8]) -> Option<Step> {
    let position = |label: &u8| from.iter().position(|other| other == label);
    let perm: Vec<i64> = to.iter().filter_map(position).map(|axis| axis as i64).collect();
    (!perm.is_sorted()).then_some(Step::Transpose(operand, perm))
}

impl Step {
    /// The node, reading the operands found so far.
    fn node(
        &self,
        graph: &Graph,
        inputs: &[ValueId],
        found: &[Operand],
        patch: &mut Patch,
    ) -> NewNode {
        match self {
            Self::Transpose(operand, perm) => {
                let name = format!("{}_transposed", graph.value(inputs[*operand]).name());
                let node = NewNode::new("Transpose").input(found[*operand]).output_name(name);
                node.attribute("perm", perm.clone())
            }
            Self::MatMul(first, second) => {
                NewNode::new("MatMul").input(found[*first]).input(found[*second])
            }
            Self::Mul => NewNode::new("Mul").input(found[0]).input(found[1]),
            Self::Sum(axes) => {
                let axes = patch.initializer("axes", Tensor::vector(axes));
                let node = NewNode::new("ReduceSum").input(found[0]).input(axes);
                node.attribute("keepdims", 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rewrite, rewrite_unexecuted};
    use insta::assert_snapshot;

    /// The operators that replace an equation.
    fn operators(a: &str, b: &str, equation: &str, y: &str) -> String {
        let (second, operands) =
            if b.is_empty() { (String::new(), "a") } else { (format!(", float[{b}] b"), "a, b") };
        let source = format!(
            "g (float[{a}] a{second}) => (float[{y}] y)
             {{ y = Einsum <equation = \"{equation}\"> ({operands}) }}"
        );
        let report = rewrite(&EliminateEinsum {}, &source);
        assert!(report.contains(": 1 rewrites"), "{equation}: {report}");
        let nodes = report.lines().filter(|line| line.starts_with("    "));
        let nodes = nodes.filter_map(|line| line.split_once(" = ")?.1.split_once(['(', ' ']));
        nodes.map(|(op_type, _)| op_type).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn finds_products_of_matrices() {
        assert_eq!(operators("2,3", "3,4", "ij,jk->ik", "2,4"), "MatMul");
        assert_eq!(operators("2,3", "3,4", "ij, jk", "2,4"), "MatMul");
        assert_eq!(operators("3,2", "3,4", "ji,jk->ki", "4,2"), "Transpose MatMul");
        assert_eq!(operators("2,3,4", "2,4,5", "bij,bjk->bik", "2,3,5"), "MatMul");
        let heads = operators("2,3,4,5", "2,6,4,5", "bqhd,bkhd->bhqk", "2,4,3,6");
        assert_eq!(heads, "Transpose Transpose MatMul");
    }

    #[test]
    fn finds_sums_and_products_element_by_element() {
        assert_eq!(operators("2,3", "", "ij->ji", "3,2"), "Transpose");
        assert_eq!(operators("2,3,4", "", "ijk->ki", "4,2"), "ReduceSum Transpose");
        assert_eq!(operators("2,3", "2,3", "ij,ij->ij", "2,3"), "Mul");
        assert_eq!(operators("2,3", "2,3", "ij,ij->i", "2"), "Mul ReduceSum");
    }

    /// The report for two operands.
    fn report(header: &str, a: &str, b: &str, equation: &str, y: &str) -> String {
        let source = format!(
            "{header} g ({a} a, {b} b) => ({y} y) {{ y = Einsum <equation = \"{equation}\"> (a, b) }}"
        );
        rewrite_unexecuted(&EliminateEinsum {}, &source)
    }

    #[test]
    fn keeps_ellipses_and_diagonals() {
        for (a, equation, y) in [
            ("float[2,3,4]", "...ij,jk->...ik", "float[2,3,2]"),
            ("float[3,3]", "ii,ik->k", "float[2]"),
        ] {
            let found = report("", a, "float[4,2]", equation, y);
            assert!(
                found.contains("skipped 1: the equation has an ellipsis or repeats a label"),
                "{found}"
            );
        }
    }

    #[test]
    fn keeps_integers() {
        let found = report("", "int32[2,3]", "int32[3,4]", "ij,jk->ik", "int32[2,4]");
        assert_snapshot!(found, @r"
        eliminate-einsum: 0 rewrites
        skipped 1: elements are not known to be float or double
        unchanged
        ");
    }

    #[test]
    fn keeps_opset_12() {
        let header = r#"<ir_version: 7, opset_import: ["" : 12]>"#;
        let found = report(header, "float[2,3]", "float[3,4]", "ij,jk->ik", "float[2,4]");
        assert_snapshot!(found, @r"
        eliminate-einsum: 0 rewrites
        skipped 1: the axes of ReduceSum are an attribute before opset 13
        unchanged
        ");
    }

    #[test]
    fn keeps_dimensions_that_may_differ() {
        let found = report("", "float[2,N]", "float[M,4]", "ij,jk->ik", "float[2,4]");
        assert_snapshot!(found, @r"
        eliminate-einsum: 0 rewrites
        skipped 1: dimensions of one label are not known to be the same
        unchanged
        ");
    }

    #[test]
    fn keeps_sums_over_several_labels_and_outer_products() {
        for (b, equation, y) in [
            ("float[2,3,4]", "ijk,jkl->il", "float[2,4]"),
            ("float[5]", "ijk,l->ijkl", "float[2,2,3,5]"),
        ] {
            let found = report("", "float[2,2,3]", b, equation, y);
            assert!(
                found.contains("skipped 1: other operators do not express the equation"),
                "{found}"
            );
        }
    }

    #[test]
    fn keeps_what_takes_more_nodes() {
        let found =
            report("", "float[2,3,4,5]", "float[2,6,4,5]", "bqhd,bkhd->bqhk", "float[2,3,4,6]");
        assert_snapshot!(found, @r"
        eliminate-einsum: 0 rewrites
        skipped 1: it takes more than three nodes
        unchanged
        ");
    }

    #[test]
    fn keeps_a_copy_between_input_and_output() {
        let source =
            "g (float[2,3] a) => (float[2,3] y) { y = Einsum <equation = \"ij->ij\"> (a) }";
        assert_snapshot!(rewrite(&EliminateEinsum {}, source), @r"
        eliminate-einsum: 0 rewrites
        skipped 1: the graph output has to keep its name
        unchanged
        ");
    }
}
