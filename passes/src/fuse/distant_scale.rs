//! A constant factor behind a linear operator, with nodes in between that it commutes with.
use super::affine;
use super::upstream::{Factor, Upstream};
use super::weights;
use crate::{OrSkip, PassInfo, Rule, Skip, require};
use lapidary_ir::{Graph, NodeId, Patch, Port, ValueId};

crate::pass! {
    /// Folds a constant factor into the weights of a linear operator further up.
    ///
    /// A factor commutes with whatever moves elements, and with products: (s · q) · kᵀ = s · (q · kᵀ).
    /// On its way it scales constants that are added; through a `Split` it scales the columns of the
    /// part it came from. So the scale of an attention ends in the projection of its queries. A
    /// factor for each column goes the same way as long as columns stay columns.
    ///
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,4,3] y)
    /// <float[4,4] w, float[4] b = {1, 2, 3, 4}, float s = {0.5}>
    /// {
    ///     product = MatMul(x, w)
    ///     sum = Add(product, b)
    ///     columns = Transpose<perm = [0, 2, 1]>(sum)
    ///     y = Mul(columns, s)
    /// }
    /// ```
    /// becomes
    /// ```onnx
    /// g (float[2,3,4] x) => (float[2,4,3] y)
    /// <float[4,4] w, float[4] b = {0.5, 1.0, 1.5, 2.0}>
    /// {
    ///     product = MatMul(x, w)
    ///     sum = Add(product, b)
    ///     y = Transpose <perm = [0, 2, 1]> (sum)
    /// }
    /// ```
    pub struct FuseDistantScale
    name: "fuse-distant-scale",
    accuracy: Rounding,
    emits: [],
}

impl Rule for FuseDistantScale {
    fn info(&self) -> &'static PassInfo {
        &Self::INFO
    }

    fn roots(&self) -> &'static [&'static str] {
        &["Mul", "Div", "Neg"]
    }

    fn rewrite(&self, graph: &Graph, root: NodeId, patch: &mut Patch) -> Result<(), Skip> {
        let y = graph[root].output(0).or_no_match()?;
        let (x, factor) = factor(graph, root)?;
        graph.producer(x).or_no_match()?;
        require(!is_attention_of_runtimes(graph, root), "runtimes know attention by its division")?;
        Upstream { graph }.absorb(x, &factor, patch, 0)?;
        patch.replace(y, x);
        Ok(())
    }
}

/// What `root` multiplies, and by what.
fn factor(graph: &Graph, root: NodeId) -> Result<(ValueId, Factor), Skip> {
    let x = affine::data(graph, root)?;
    let Some(slot) = affine::constant_slot(graph, root)? else { return Ok((x, Factor::All(-1.0))) };
    require(graph.opset() >= 7, "operands broadcast in another way before opset 7")?;
    let constant = graph.constant_input(root, slot).or_no_match()?;
    let mut numbers = weights::values(constant).or_no_match()?;
    if graph[root].is("Div") {
        numbers.iter_mut().for_each(|number| *number = 1.0 / *number);
    }
    let usable = |number: &f64| number.is_finite() && *number != 0.0;
    require(numbers.iter().all(usable), "factor is zero or not finite")?;
    let shape = graph.value(x).shape();
    let keeps_rank =
        constant.rank() == 0 || shape.is_some_and(|shape| shape.len() >= constant.rank());
    require(keeps_rank, "the constant may enlarge the shape")?;
    if let &[number] = numbers.as_slice() {
        return Ok((x, Factor::All(number)));
    }
    let columns = shape.and_then(|shape| shape.last()?.value());
    let along_columns = columns == Some(numbers.len() as i64)
        && constant.dims().last() == Some(&(numbers.len() as i64));
    require(along_columns, "constant is not one value per column")?;
    Ok((x, Factor::Columns(numbers)))
}

/// Whether `root` is the division between a product and the mask of an attention: ONNX Runtime
/// makes one operator of an attention only if it finds that division.
fn is_attention_of_runtimes(graph: &Graph, root: NodeId) -> bool {
    let masked = || {
        let y = graph[root].output(0)?;
        let mask = graph.only_use(y)?;
        let by_where = graph[mask.node].is("Where") && mask.port == Port::Input(1);
        let after = graph.only_use(graph[mask.node].output(0)?)?.node;
        let after = match graph[after].is("Add") {
            true => graph.only_use(graph[after].output(0)?)?.node,
            false => after,
        };
        Some((by_where || graph[mask.node].is("Add")) && graph[after].is("Softmax"))
    };
    graph[root].is("Div") && masked() == Some(true)
}

#[cfg(test)]
mod tests;
