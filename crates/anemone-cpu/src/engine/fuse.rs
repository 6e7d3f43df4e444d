//! Grouping elementwise operations so that one pass over memory computes several.
//!
//! Operations of the same shape that feed one another form a group, unless that would make the group depend on
//! itself through an operation outside it. Groups and single operations are then put in an order that respects
//! dependencies and otherwise stays as close to the program's as it can.

use super::graph::Graph;
use crate::elementwise::ElementOp;
use mil::{Shape, ValueId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Operations that run together: one op, or a group of elementwise ones, by index in program order.
pub(crate) type Cluster = Vec<usize>;

/// Bounds on a group: beyond these the working set of registers leaves the first-level cache.
const MAX_OPS: usize = 64;
const MAX_OPERANDS: usize = 28;

/// Every operation alone, in program order.
pub(crate) fn separate(graph: &Graph<'_>) -> Vec<Cluster> {
    graph.ops.iter().map(|&op| vec![op]).collect()
}

/// Groups elementwise operations.
pub(crate) fn fuse(graph: &Graph<'_>) -> Vec<Cluster> {
    let mut fusion = Fusion::new(graph);
    for node in 0..graph.ops.len() {
        fusion.place(node);
    }
    fusion.ordered()
}

struct Fusion<'g, 'f> {
    graph: &'g Graph<'f>,
    /// The node (position in `graph.ops`) that computes a value, by value index.
    producer: Vec<Option<usize>>,
    /// Nodes that each node depends on directly.
    needs: Vec<Vec<usize>>,
    /// Shape of elementwise nodes.
    shape: Vec<Option<&'f Shape>>,
    /// Cluster of each node.
    cluster: Vec<usize>,
    members: Vec<Vec<usize>>,
    /// Marks of the last search that visited a cluster.
    visited: Vec<u32>,
    search: u32,
}

impl<'g, 'f> Fusion<'g, 'f> {
    fn new(graph: &'g Graph<'f>) -> Fusion<'g, 'f> {
        let count = graph.ops.len();
        let mut producer = vec![None; graph.function.values.len()];
        let mut needs = Vec::with_capacity(count);
        let mut shape = Vec::with_capacity(count);
        for (node, &op) in graph.ops.iter().enumerate() {
            let operation = graph.operation(op);
            let mut direct: Vec<usize> =
                operation.uses().filter_map(|id| producer[graph.root(id).index()]).collect();
            direct.sort_unstable();
            direct.dedup();
            needs.push(direct);
            for output in &operation.outputs {
                producer[output.index()] = Some(node);
            }
            let elementwise = matches!(ElementOp::from_view(&graph.view(op)), Some(Ok(_)));
            shape.push(elementwise.then(|| graph.function.shape(operation.outputs[0])));
        }
        Fusion {
            graph,
            producer,
            needs,
            shape,
            cluster: (0..count).collect(),
            members: (0..count).map(|node| vec![node]).collect(),
            visited: vec![0; count],
            search: 0,
        }
    }

    /// Merges a node with the groups of its operands where that is allowed.
    fn place(&mut self, node: usize) {
        let Some(shape) = self.shape[node] else { return };
        let producers: Vec<usize> = self.needs[node].clone();
        for producer in producers.into_iter().rev() {
            if self.shape[producer] != Some(shape) {
                continue;
            }
            let (into, from) = (self.cluster[producer], self.cluster[node]);
            if into != from && self.fits(into, from) && !self.cycle(into, from) {
                self.merge(into, from);
            }
        }
    }

    /// Whether both together stay within bounds, and whether every value that one takes from the other is
    /// taken as it is (not through a view of another shape).
    fn fits(&self, into: usize, from: usize) -> bool {
        let (a, b) = (&self.members[into], &self.members[from]);
        if a.len() + b.len() > MAX_OPS {
            return false;
        }
        let inside = |value: ValueId| {
            self.producer[value.index()].is_some_and(|node| {
                let cluster = self.cluster[node];
                cluster == into || cluster == from
            })
        };
        let function = self.graph.function;
        let mut leaves: Vec<ValueId> = Vec::new();
        for &node in a.iter().chain(b) {
            for id in self.graph.operation(self.graph.ops[node]).uses() {
                let root = self.graph.root(id);
                if !inside(root) {
                    if function.constant(root).is_none() && !leaves.contains(&root) {
                        leaves.push(root);
                    }
                } else if function.shape(root) != function.shape(id) {
                    return false;
                }
            }
        }
        leaves.len() <= MAX_OPERANDS
    }

    /// Whether joining the two would make the result depend on itself: whether one reaches the other through a
    /// third.
    fn cycle(&mut self, a: usize, b: usize) -> bool {
        self.reaches_around(a, b) || self.reaches_around(b, a)
    }

    /// Whether `from` depends on `target` through some other cluster.
    fn reaches_around(&mut self, from: usize, target: usize) -> bool {
        self.search += 1;
        let mut stack = Vec::new();
        self.push_needs(from, &mut stack);
        // Direct edges are what fusion removes; only paths with a stop on the way count.
        stack.retain(|&cluster| cluster != target);
        while let Some(cluster) = stack.pop() {
            if cluster == target {
                return true;
            }
            if std::mem::replace(&mut self.visited[cluster], self.search) != self.search {
                self.push_needs(cluster, &mut stack);
            }
        }
        false
    }

    fn push_needs(&self, cluster: usize, stack: &mut Vec<usize>) {
        for &node in &self.members[cluster] {
            for &need in &self.needs[node] {
                let other = self.cluster[need];
                if other != cluster && self.visited[other] != self.search {
                    stack.push(other);
                }
            }
        }
    }

    fn merge(&mut self, into: usize, from: usize) {
        let moved = std::mem::take(&mut self.members[from]);
        for &node in &moved {
            self.cluster[node] = into;
        }
        self.members[into].extend(moved);
        self.members[into].sort_unstable();
    }

    /// Clusters in an order that respects dependencies; among those that are ready, the one whose last
    /// operation comes first in the program.
    fn ordered(self) -> Vec<Cluster> {
        let count = self.members.len();
        let mut waiting = vec![0usize; count];
        let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (cluster, members) in self.members.iter().enumerate() {
            let mut needs: Vec<usize> = members
                .iter()
                .flat_map(|&node| self.needs[node].iter().map(|&need| self.cluster[need]))
                .filter(|&need| need != cluster)
                .collect();
            needs.sort_unstable();
            needs.dedup();
            waiting[cluster] = needs.len();
            needs.into_iter().for_each(|need| dependents[need].push(cluster));
        }
        let key = |cluster: usize| self.members[cluster].last().map(|&last| Reverse((last, cluster)));
        let mut ready: BinaryHeap<Reverse<(usize, usize)>> =
            (0..count).filter(|&cluster| waiting[cluster] == 0).filter_map(key).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(Reverse((_, cluster))) = ready.pop() {
            order.push(self.members[cluster].iter().map(|&node| self.graph.ops[node]).collect());
            for &dependent in &dependents[cluster] {
                waiting[dependent] -= 1;
                if waiting[dependent] == 0 {
                    ready.extend(key(dependent));
                }
            }
        }
        order
    }
}
