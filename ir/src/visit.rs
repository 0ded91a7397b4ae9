//! petgraph's view of a graph, so that its algorithms run on it.
//!
//! Nodes are petgraph's nodes; every use of a value that a node makes is an edge from its producer
//! to its reader. There is no petgraph container underneath: the arena of nodes and the table of
//! values are the only copy of the edges. petgraph's containers keep the edges of a node in one
//! linked list, so that taking 100,000 readers off a shared constant one by one walks that list
//! 100,000 times, and constants shared by everything are normal in exported models.
//!
//! Values that are gone and nodes that are gone are passed over, so a graph that is not valid can
//! be looked at too.
use crate::{Graph, Node, NodeId, Port, Use, Value, ValueId};
use petgraph::visit::{
    Data, EdgeRef, GraphBase, GraphProp, IntoEdgeReferences, IntoEdges, IntoEdgesDirected,
    IntoNeighbors, IntoNeighborsDirected, IntoNodeIdentifiers, IntoNodeReferences, NodeCount,
    NodeIndexable, VisitMap, Visitable,
};
use petgraph::{Directed, Direction};

/// One use of a value, seen as an edge from the node that makes it to the node that reads it.
#[derive(Clone, Copy, Debug)]
pub struct Edge<'a> {
    source: NodeId,
    used: Use,
    value: &'a Value,
}

impl EdgeRef for Edge<'_> {
    type NodeId = NodeId;
    type EdgeId = Use;
    type Weight = Value;

    fn source(&self) -> NodeId {
        self.source
    }

    fn target(&self) -> NodeId {
        self.used.node
    }

    fn weight(&self) -> &Value {
        self.value
    }

    fn id(&self) -> Use {
        self.used
    }
}

/// The nodes an algorithm has been at.
#[derive(Clone, Debug, Default)]
pub struct Visited(Vec<bool>);

impl VisitMap<NodeId> for Visited {
    fn visit(&mut self, id: NodeId) -> bool {
        !std::mem::replace(&mut self.0[id.index()], true)
    }

    fn is_visited(&self, id: &NodeId) -> bool {
        self.0.get(id.index()).is_some_and(|&visited| visited)
    }

    fn unvisit(&mut self, id: NodeId) -> bool {
        std::mem::replace(&mut self.0[id.index()], false)
    }
}

impl Graph {
    fn edges_out(&self, id: NodeId) -> impl Iterator<Item = Edge<'_>> {
        let outputs = self.get_node(id).into_iter().flat_map(|node| node.outputs.iter().flatten());
        let values = outputs.filter_map(|&output| self.get_value(output));
        let edges = values
            .flat_map(move |value| value.uses().map(move |used| Edge { source: id, used, value }));
        edges.filter(|edge| self.get_node(edge.used.node).is_some())
    }

    /// The nodes that read an output of a node, once per use.
    pub(crate) fn successors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.edges_out(id).map(|edge| edge.used.node)
    }

    fn edges_in(&self, id: NodeId) -> impl Iterator<Item = Edge<'_>> {
        let node = self.get_node(id).into_iter();
        let reads = node.flat_map(move |node| {
            let inputs = node.inputs.iter().enumerate();
            let inputs =
                inputs.filter_map(|(slot, &input)| Some((input?, Port::Input(slot as u32))));
            let captured = node.captured.iter().enumerate();
            inputs.chain(captured.map(|(slot, &value)| (value, Port::Capture(slot as u32))))
        });
        reads.filter_map(move |(value, port): (ValueId, Port)| {
            let value = self.get_value(value)?;
            let (source, _) = value.producer?;
            self.get_node(source)?;
            Some(Edge { source, used: Use { node: id, port }, value })
        })
    }
}

impl GraphBase for Graph {
    type NodeId = NodeId;
    type EdgeId = Use;
}

impl Data for Graph {
    type NodeWeight = Node;
    type EdgeWeight = Value;
}

impl GraphProp for Graph {
    type EdgeType = Directed;
}

impl NodeCount for Graph {
    fn node_count(&self) -> usize {
        self.node_count()
    }
}

impl NodeIndexable for Graph {
    fn node_bound(&self) -> usize {
        self.node_bound()
    }

    fn to_index(&self, id: NodeId) -> usize {
        id.index()
    }

    fn from_index(&self, index: usize) -> NodeId {
        NodeId(index as u32)
    }
}

impl Visitable for Graph {
    type Map = Visited;

    fn visit_map(&self) -> Visited {
        Visited(vec![false; self.node_bound()])
    }

    fn reset_map(&self, map: &mut Visited) {
        *map = self.visit_map();
    }
}

impl<'a> IntoNodeIdentifiers for &'a Graph {
    type NodeIdentifiers = Box<dyn Iterator<Item = NodeId> + 'a>;

    fn node_identifiers(self) -> Self::NodeIdentifiers {
        Box::new(self.nodes().map(|(id, _)| id))
    }
}

impl<'a> IntoNodeReferences for &'a Graph {
    type NodeRef = (NodeId, &'a Node);
    type NodeReferences = Box<dyn Iterator<Item = (NodeId, &'a Node)> + 'a>;

    fn node_references(self) -> Self::NodeReferences {
        Box::new(self.nodes())
    }
}

impl<'a> IntoNeighbors for &'a Graph {
    type Neighbors = Box<dyn Iterator<Item = NodeId> + 'a>;

    fn neighbors(self, id: NodeId) -> Self::Neighbors {
        Box::new(self.successors(id))
    }
}

impl<'a> IntoNeighborsDirected for &'a Graph {
    type NeighborsDirected = Box<dyn Iterator<Item = NodeId> + 'a>;

    fn neighbors_directed(self, id: NodeId, direction: Direction) -> Self::NeighborsDirected {
        match direction {
            Direction::Outgoing => self.neighbors(id),
            Direction::Incoming => Box::new(self.edges_in(id).map(|edge| edge.source)),
        }
    }
}

impl<'a> IntoEdgeReferences for &'a Graph {
    type EdgeRef = Edge<'a>;
    type EdgeReferences = Box<dyn Iterator<Item = Edge<'a>> + 'a>;

    fn edge_references(self) -> Self::EdgeReferences {
        Box::new(self.nodes().flat_map(|(id, _)| self.edges_out(id)))
    }
}

impl<'a> IntoEdges for &'a Graph {
    type Edges = Box<dyn Iterator<Item = Edge<'a>> + 'a>;

    fn edges(self, id: NodeId) -> Self::Edges {
        Box::new(self.edges_out(id))
    }
}

impl<'a> IntoEdgesDirected for &'a Graph {
    type EdgesDirected = Box<dyn Iterator<Item = Edge<'a>> + 'a>;

    fn edges_directed(self, id: NodeId, direction: Direction) -> Self::EdgesDirected {
        match direction {
            Direction::Outgoing => Box::new(self.edges_out(id)),
            Direction::Incoming => Box::new(self.edges_in(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::validate::testing::Build;
    use crate::{Graph, NodeId};
    use petgraph::algo::{dominators, is_cyclic_directed, kosaraju_scc, tarjan_scc, toposort};
    use petgraph::dot::{Config, Dot};
    use petgraph::visit::{Dfs, EdgeRef, IntoEdgesDirected, Reversed, Walker};
    use petgraph::{Incoming, Outgoing};

    /// `a` feeds `b` and `c`, which both feed `d`; `first` is what `a` reads.
    fn diamond(first: &str) -> Graph {
        Build::default()
            .input("x", &[4])
            .node("Add", &["c", "b"], &["d"])
            .node("Neg", &["a"], &["b"])
            .node("Abs", &["a"], &["c"])
            .node("Relu", &[first], &["a"])
            .output("d")
            .model(17)
            .graph
    }

    fn names(graph: &Graph, nodes: impl IntoIterator<Item = NodeId>) -> Vec<&str> {
        nodes.into_iter().map(|id| graph[id].label(graph)).collect()
    }

    #[test]
    fn toposort_puts_producers_first() {
        let graph = diamond("x");
        let order = toposort(&graph, None).expect("there is no cycle");
        let order = names(&graph, order);
        assert_eq!((order[0], order[3]), ("relu", "add"));
        assert!(!is_cyclic_directed(&graph));
    }

    #[test]
    fn strongly_connected_components_are_the_cycles() {
        let graph = diamond("d");
        assert!(toposort(&graph, None).is_err() && is_cyclic_directed(&graph));
        assert_eq!(tarjan_scc(&graph).len(), 1);
        assert_eq!(kosaraju_scc(&graph).len(), 1);
        assert_eq!(tarjan_scc(&diamond("x")).len(), 4);
    }

    #[test]
    fn the_node_every_path_goes_through_dominates() {
        let graph = diamond("x");
        let dominators = dominators::simple_fast(&graph, NodeId(3));
        assert_eq!(dominators.immediate_dominator(NodeId(0)), Some(NodeId(3)));
    }

    #[test]
    fn a_walk_backwards_reaches_what_a_node_depends_on() {
        let graph = diamond("x");
        let reached = Dfs::new(&graph, NodeId(2)).iter(&graph);
        assert_eq!(names(&graph, reached), ["abs", "add"]);
        let needed = Dfs::new(Reversed(&graph), NodeId(2)).iter(Reversed(&graph));
        assert_eq!(names(&graph, needed), ["abs", "relu"]);
    }

    #[test]
    fn edges_are_the_same_seen_from_both_ends() {
        let graph = diamond("x");
        let mut out: Vec<_> =
            (&graph).edges_directed(NodeId(3), Outgoing).map(|e| e.id()).collect();
        let inward =
            [1, 2].map(NodeId).into_iter().flat_map(|id| (&graph).edges_directed(id, Incoming));
        let mut inward: Vec<_> = inward.map(|edge| edge.id()).collect();
        out.sort_unstable();
        inward.sort_unstable();
        assert_eq!(out, inward);
    }

    #[test]
    fn dot_draws_nodes_and_values() {
        let graph = diamond("x");
        let hide = [Config::NodeNoLabel, Config::EdgeNoLabel];
        let dot = Dot::with_attr_getters(
            &graph,
            &hide,
            &|_, edge| format!("label = \"{}\"", edge.weight().name()),
            &|_, (_, node)| format!("label = \"{}\"", node.op_type),
        );
        let text = format!("{dot:?}");
        assert!(text.contains("3 -> 1 [ label = \"a\"]"), "{text}");
        assert!(text.contains("label = \"Relu\""), "{text}");
    }
}
