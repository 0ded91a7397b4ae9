//! Attention: what is divided into heads.
use super::Site;

impl Site<'_> {
    /// Queries, keys and values are `[batch, heads, length, size]` or `[batch, length, heads * size]`.
    pub(super) fn attention(&mut self) {
        let (queries, shared) = match self.rank(0) {
            Some(4) => {
                self.same(1, 3, (0, 3), "size of a head");
                self.same(2, 1, (1, 1), "number of heads");
                (self.dim(0, 1), self.dim(1, 1))
            }
            Some(3) => {
                let heads = (self.node.int("q_num_heads"), self.node.int("kv_num_heads"));
                let sizes = (self.size_of_head(0, heads.0), self.size_of_head(1, heads.1));
                self.size_of_head(2, heads.1);
                self.equal_sizes(sizes);
                heads
            }
            _ => return,
        };
        self.shared(queries, shared);
    }

    /// The weight is `[inputs, Q + K + V]`, the bias `[Q + K + V]`.
    pub(super) fn packed_attention(&mut self) {
        self.same(1, 0, (0, 2), "number of inputs");
        let Some(total) = self.dim(1, 1) else { return };
        self.vector(2, total, "column of the weight");
        let heads = self.node.int("num_heads").filter(|&heads| heads > 0);
        match self.node.ints("qkv_hidden_sizes") {
            Some(sizes) if sizes.iter().sum::<i64>() != total => {
                self.fault(format!("qkv_hidden_sizes is {sizes:?}, expected a sum of {total}"));
            }
            Some(sizes) => {
                if let Some(heads) = heads.filter(|heads| sizes.iter().any(|s| s % heads != 0)) {
                    self.fault(format!(
                        "qkv_hidden_sizes is {sizes:?}, expected multiples of the {heads} heads"
                    ));
                }
            }
            None => {
                if let Some(heads) = heads.filter(|heads| total % (3 * heads) != 0) {
                    let operand = self.operand(1);
                    self.fault(format!(
                        "{operand} has {total} columns, expected a multiple of 3 times {heads} heads"
                    ));
                }
            }
        }
    }

    /// Queries, keys and values are `[batch, length, heads * size]` where they have three dimensions.
    pub(super) fn multi_head_attention(&mut self) {
        let heads = self.node.int("num_heads");
        let plain = |site: &Self, slot| site.rank(slot) == Some(3);
        let size = |site: &mut Self, slot: usize| match plain(site, slot) {
            true => site.size_of_head(slot, heads),
            false => None,
        };
        let sizes = (size(self, 0), size(self, 1));
        size(self, 2);
        self.equal_sizes(sizes);
        if let (Some(queries), Some(values)) = (self.dim(0, 2), self.dim(2, 2))
            && plain(self, 0)
            && plain(self, 2)
        {
            self.vector(3, 2 * queries + values, "element of queries, keys and values");
        }
    }

    /// Queries are `[batch, length, heads * size]`, keys and values have fewer heads; or all are in one.
    pub(super) fn grouped_query_attention(&mut self) {
        let (heads, shared) = (self.node.int("num_heads"), self.node.int("kv_num_heads"));
        if self.node.input(1).is_some() {
            let sizes = (self.size_of_head(0, heads), self.size_of_head(1, shared));
            self.equal_sizes(sizes);
        } else if let (Some(heads), Some(shared)) = (heads, shared) {
            self.size_of_head(0, Some(heads + 2 * shared));
        }
        self.shared(heads, shared);
    }

    /// The size of a head where `heads` lie side by side on the last axis of an input.
    fn size_of_head(&mut self, slot: usize, heads: Option<i64>) -> Option<i64> {
        let (heads, width) = (heads?, self.dim(slot, 2)?);
        if heads < 1 || width % heads != 0 {
            let operand = self.operand(slot);
            self.fault(format!(
                "{operand} has width {width}, expected a multiple of {heads} heads"
            ));
            return None;
        }
        Some(width / heads)
    }

    fn equal_sizes(&mut self, sizes: (Option<i64>, Option<i64>)) {
        if let (Some(expected), Some(found)) = sizes
            && expected != found
        {
            let operand = self.operand(1);
            self.fault(format!("{operand} has heads of {found}, expected {expected}"));
        }
    }

    /// The heads of keys and values serve equally many of the queries each.
    fn shared(&mut self, queries: Option<i64>, shared: Option<i64>) {
        if let (Some(queries), Some(shared)) = (queries, shared)
            && (shared < 1 || queries % shared != 0)
        {
            self.fault(format!(
                "{queries} heads of queries share {shared} of keys, expected a multiple"
            ));
        }
    }

    /// A dimension of an input equals that of another.
    fn same(&mut self, slot: usize, axis: usize, (other, along): (usize, usize), what: &str) {
        if let (Some(found), Some(expected)) = (self.dim(slot, axis), self.dim(other, along))
            && found != expected
        {
            let (operand, other) = (self.operand(slot), self.operand(other));
            self.fault(format!("{operand} has {what} {found}, expected {expected} as {other}"));
        }
    }
}
