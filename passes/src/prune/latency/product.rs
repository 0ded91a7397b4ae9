//! One product as a model of its own, with as many channels as wanted.
use super::super::analysis::Analysis;
use super::super::resources::factors;
use super::super::rounding::Rounding;
use crate::macs::{node_macs, sample_shape};
use lapidary_ir::text::{self, print_attribute};
use lapidary_ir::{ElemType, Graph, Model, Node};

/// How finely a side is divided, coarse first: the points of each grid are points of the next.
const FRACTIONS: [&[usize]; LEVELS] = [&[4], &[2, 4], &[1, 2, 3, 4]];

/// Grids of sizes there are.
pub(super) const LEVELS: usize = 3;

/// A product and what of it can become smaller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Product {
    op_type: String,
    attributes: Vec<String>,
    /// The dimensions of what it reads, and whether that is constant.
    inputs: Vec<(Vec<u64>, bool)>,
    /// One or two, by which the grid goes.
    pub(super) sides: Vec<Side>,
    /// Axes that can become smaller beyond those two: places among the factors, and sizes.
    pub(super) others: Vec<(usize, usize)>,
}

/// An axis that can become smaller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Side {
    /// Which of the factors of the product's multiply-accumulates it is.
    pub(super) factor: usize,
    pub(super) size: usize,
    /// Sizes are multiples of it, as far as they can be.
    multiple: usize,
    /// Inputs and axes as long as it, divided by a number.
    places: Vec<(usize, usize, usize)>,
    /// The number of groups is its size divided by this.
    per_group: Option<usize>,
}

impl Side {
    /// The sizes of a grid.
    pub(super) fn sizes(&self, level: usize) -> Vec<usize> {
        let multiple = self.multiple.min(self.size).max(1);
        let of = |quarters: usize| {
            let nearest = (self.size * quarters / 4 + multiple / 2) / multiple * multiple;
            if quarters == 4 { self.size } else { nearest.clamp(multiple, self.size) }
        };
        let mut sizes: Vec<usize> = std::iter::once(multiple)
            .chain(FRACTIONS[level].iter().map(|&quarters| of(quarters)))
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

impl Product {
    /// A product of floats of which channels can go, in a graph whose sizes are known; others are left alone.
    pub(super) fn of(
        graph: &Graph,
        node: &Node,
        analysis: &Analysis,
        rounding: Rounding,
    ) -> Option<Self> {
        node_macs(graph, node)?;
        let inputs = inputs(graph, node)?;
        let mut sides = Vec::new();
        let mut others = Vec::new();
        for (factor, axis) in factors(graph, node).into_iter().enumerate() {
            let Some(&size) = analysis.extents.get(&axis) else { continue };
            let removable = |&owner: &usize| analysis.channels[owner].removable;
            if !analysis.owners.get(&axis)?.iter().any(removable) {
                continue;
            }
            if sides.len() == 2 {
                others.push((factor, size));
            } else {
                sides.push(side(graph, node, &inputs, (factor, size), rounding)?);
            }
        }
        if sides.is_empty() {
            return None;
        }
        let attributes = node.attributes().iter();
        let attributes = attributes.filter(|attribute| attribute.name != "group");
        let attributes = attributes.map(print_attribute).collect();
        Some(Self { op_type: node.op_type.to_string(), attributes, inputs, sides, others })
            .map(|own| own.with_groups(node))
    }

    fn with_groups(mut self, node: &Node) -> Self {
        let groups = node.int("group").filter(|&groups| groups > 1);
        let fixed = self.sides.iter().all(|side| side.per_group.is_none());
        if let Some(groups) = groups.filter(|_| fixed) {
            self.attributes.push(format!("group = {groups}"));
        }
        self
    }

    /// The bytes of its constants at most.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |(dims, _): &(Vec<u64>, bool)| {
            dims.iter().fold(4, |bytes: u64, &size| bytes.saturating_mul(size))
        };
        let constants = self.inputs.iter().filter(|(_, constant)| *constant);
        constants.map(bytes).fold(0, u64::saturating_add)
    }

    /// The last dimension of what it reads.
    #[cfg(test)]
    pub(super) fn read(&self) -> u64 {
        self.inputs[0].0.last().copied().unwrap_or(1)
    }

    /// The product with these sizes of its sides.
    pub(super) fn model(&self, sizes: &[usize]) -> Option<Model> {
        let mut shapes: Vec<Vec<u64>> = self.inputs.iter().map(|(dims, _)| dims.clone()).collect();
        let mut attributes = self.attributes.clone();
        for (side, &size) in self.sides.iter().zip(sizes) {
            for &(slot, axis, divisor) in &side.places {
                *shapes.get_mut(slot)?.get_mut(axis)? = (size / divisor) as u64;
            }
            if let Some(per_group) = side.per_group {
                attributes.push(format!("group = {}", size / per_group));
            }
        }
        let declared = |constant: bool| -> Vec<String> {
            let own = self.inputs.iter().zip(&shapes).enumerate();
            own.filter(|(_, ((_, is), _))| *is == constant)
                .map(|(slot, (_, dims))| {
                    let dims: Vec<String> = dims.iter().map(u64::to_string).collect();
                    format!("float[{}] i{slot}", dims.join(","))
                })
                .collect()
        };
        let names: Vec<String> = (0..shapes.len()).map(|slot| format!("i{slot}")).collect();
        let attributes = match attributes.join(", ") {
            none if none.is_empty() => none,
            some => format!("<{some}>"),
        };
        let source = format!(
            "g ({}) => (float[] y) <{}> {{ y = {}{attributes}({}) }}",
            declared(false).join(", "),
            declared(true).join(", "),
            self.op_type,
            names.join(", "),
        );
        let mut model = text::parse(&source).ok()?;
        model.graph.infer();
        Some(model)
    }
}

/// The dimensions of what a product of floats reads, and whether that is constant.
fn inputs(graph: &Graph, node: &Node) -> Option<Vec<(Vec<u64>, bool)>> {
    let input = |value: &Option<lapidary_ir::ValueId>| {
        let value = (*value)?;
        let own = graph.value(value);
        let dims = sample_shape(graph, value)?;
        let filled = own.elem_type() == Some(ElemType::FLOAT) && !dims.contains(&0);
        filled.then_some((dims, own.initializer().is_some()))
    };
    node.inputs().iter().map(input).collect()
}

/// Where the size of a factor stands in what the product reads.
fn side(
    graph: &Graph,
    node: &Node,
    inputs: &[(Vec<u64>, bool)],
    (factor, size): (usize, usize),
    rounding: Rounding,
) -> Option<Side> {
    let rank = |slot: usize| inputs.get(slot).map(|(dims, _)| dims.len());
    let output = sample_shape(graph, node.output(0)?)?.len();
    let mut multiple = rounding.of_extent(size);
    let mut per_group = None;
    let mut places: Vec<(usize, usize, usize)> = match (node.op_type.as_str(), factor) {
        ("Conv" | "ConvTranspose", 1 | 2) => {
            let transposed = node.op_type == "ConvTranspose";
            let groups = usize::try_from(node.int("group").unwrap_or(1)).ok()?.max(1);
            let channels = *inputs.first()?.0.get(1)? as usize;
            let (made, read) = if transposed { (1, 0) } else { (0, 1) };
            let each = if factor == 1 { size / groups } else { 1 };
            if groups > 1 && groups == channels {
                per_group = Some(each.max(1));
                multiple = multiple.next_multiple_of(each.max(1));
                let own = if transposed { vec![(1, 0, each)] } else { vec![(1, 0, 1)] };
                [own, vec![(0, 1, each), (2, 0, 1)]].concat()
            } else {
                multiple = multiple.next_multiple_of(groups);
                // The axis of a kernel that counts the channels of one group.
                let local = |axis: usize| if axis == 1 { groups } else { 1 };
                match factor {
                    1 => vec![(1, made, local(made)), (2, 0, 1)],
                    _ => vec![(0, 1, 1), (1, read, local(read))],
                }
            }
        }
        ("Gemm", _) => {
            let transposed = |name: &str| usize::from(node.int(name).unwrap_or(0) != 0);
            let (a, b) = (transposed("transA"), transposed("transB"));
            match factor {
                0 => vec![(0, a, 1)],
                1 => vec![(1, 1 - b, 1), (2, rank(2).unwrap_or(1).checked_sub(1)?, 1)],
                _ => vec![(0, 1 - a, 1), (1, b, 1)],
            }
        }
        ("MatMul", _) => {
            let (left, right) = (rank(0)?, rank(1)?);
            if left < 2 || right < 2 {
                return None;
            }
            match output.checked_sub(factor) {
                Some(0) => vec![(0, left - 1, 1), (1, right - 2, 1)],
                Some(1) => vec![(1, right - 1, 1)],
                Some(2) => vec![(0, left - 2, 1)],
                behind => {
                    let axis = |rank: usize| rank.checked_sub(behind?);
                    let both = [(0, axis(left)), (1, axis(right))];
                    both.into_iter().filter_map(|(slot, axis)| Some((slot, axis?, 1))).collect()
                }
            }
        }
        _ => return None,
    };
    // What is not as long is broadcast or not there.
    places.retain(|&(slot, axis, divisor)| {
        let extent = inputs.get(slot).and_then(|(dims, _)| dims.get(axis));
        extent.is_some_and(|&extent| divisor > 0 && extent as usize * divisor == size)
    });
    (!places.is_empty()).then_some(Side { factor, size, multiple, places, per_group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::macs::node_macs;
    use crate::quantize::testing::model;

    /// The multiply-accumulates of the products of a model with all sides at their coarsest sizes.
    fn small(source: &str, rounding: usize) -> Vec<(Vec<Vec<usize>>, Vec<u64>)> {
        let model = model(source);
        let analysis = Analysis::of(&model.graph);
        let macs = |product: &Product, sizes: &[usize]| {
            let piece = product.model(sizes).expect("it is a model");
            assert!(piece.validate().is_empty());
            let own: Vec<u64> =
                piece.graph.nodes().filter_map(|(_, node)| node_macs(&piece.graph, node)).collect();
            assert_eq!(own.len(), 1, "{}", text::print(&piece.graph));
            own[0]
        };
        let products = model.graph.nodes().filter_map(|(_, node)| {
            let product = Product::of(&model.graph, node, &analysis, Rounding::To(rounding))?;
            let sizes: Vec<Vec<usize>> = product.sides.iter().map(|side| side.sizes(0)).collect();
            let ends = |last: bool| -> Vec<usize> {
                let end =
                    |sizes: &Vec<usize>| if last { sizes.last() } else { sizes.first() }.copied();
                sizes.iter().filter_map(end).collect()
            };
            assert_eq!(Some(macs(&product, &ends(true))), node_macs(&model.graph, node));
            let least = macs(&product, &ends(false));
            Some((sizes, vec![least]))
        });
        products.collect()
    }

    #[test]
    fn convolutions_become_smaller_on_both_sides() {
        let found = small(
            "g (float[N,3,6,6] x) => (float[N,4,6,6] y)
            <float[8,3,3,3] a, float[8] z, float[8,1,3,3] b, float[12,4,1,1] c, float[12,6,1,1] d, float[4,12,1,1] e>
            {
                s = Conv<pads = [1, 1, 1, 1]>(x, a, z)
                t = Conv<group = 8, pads = [1, 1, 1, 1]>(s, b)
                u = Conv<group = 2>(t, c)
                v = ConvTranspose<group = 2>(u, d)
                y = Conv(v, e)
            }",
            2,
        );
        let pixels = 36;
        assert_eq!(
            found,
            [
                (vec![vec![2, 8]], vec![pixels * 2 * 27]),
                (vec![vec![2, 8]], vec![pixels * 2 * 9]),
                (vec![vec![2, 12], vec![2, 8]], vec![pixels * 2]),
                (vec![vec![2, 12], vec![2, 12]], vec![pixels * 2]),
                (vec![vec![2, 12]], vec![pixels * 4 * 2]),
            ]
        );
    }

    #[test]
    fn matrices_become_smaller_whichever_way_they_stand() {
        let found = small(
            "g (float[5,6] x) => (float[5,2] y)
            <float[6,16] a, float[8,16] b, float[8] z, float[8,4] c, float[4,2] d>
            {
                h = MatMul(x, a)
                i = Gemm<transB = 1>(h, b, z)
                j = Gemm(i, c)
                y = MatMul(j, d)
            }",
            4,
        );
        assert_eq!(
            found,
            [
                (vec![vec![4, 16]], vec![5 * 6 * 4]),
                (vec![vec![4, 8], vec![4, 16]], vec![5 * 4 * 4]),
                (vec![vec![4], vec![4, 8]], vec![5 * 4 * 4]),
                (vec![vec![4]], vec![5 * 4 * 2]),
            ]
        );
    }

    #[test]
    fn grids_become_finer_and_keep_their_points() {
        let side = Side { factor: 0, size: 60, multiple: 8, places: Vec::new(), per_group: None };
        let sizes: Vec<Vec<usize>> = (0..LEVELS).map(|level| side.sizes(level)).collect();
        assert_eq!(sizes, [vec![8, 60], vec![8, 32, 60], vec![8, 16, 32, 48, 60]]);
    }
}
