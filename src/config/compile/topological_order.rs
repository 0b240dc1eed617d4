//! Orders nested pools and monitors so that each is checked after those inside it.

/// How far a node has been visited.
#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

/// A cycle that the search closed.
pub(super) struct Cycle<'p> {
    /// The nodes of the cycle, each inside the one before it.
    pub(super) nodes: &'p [usize],
    /// Which child of the last node is the first node: its position among all children.
    pub(super) closing_child: usize,
}

/// Orders the nodes 0 to `node_count` so that each comes after its children. `child(node,
/// position)` gives the child at a position: `None` after the last, `Some(None)` where it is no
/// node. Each cycle is handed to `report`, and cut where it closes.
pub(super) fn topological_order(
    node_count: usize,
    child: impl Fn(usize, usize) -> Option<Option<usize>>,
    mut report: impl FnMut(Cycle<'_>),
) -> Vec<usize> {
    let mut visits = vec![Visit::New; node_count];
    let mut order = Vec::with_capacity(node_count);
    for start in 0..node_count {
        if visits[start] != Visit::New {
            continue;
        }
        // An explicit stack: a chain of nodes may be longer than a thread's stack is deep.
        let mut path = vec![start];
        let mut positions = vec![0];
        visits[start] = Visit::Open;
        while let (Some(&node), Some(position)) = (path.last(), positions.last_mut()) {
            let Some(found) = child(node, *position) else {
                visits[node] = Visit::Done;
                order.push(node);
                path.pop();
                positions.pop();
                continue;
            };
            let closing_child = *position;
            *position += 1;
            let Some(inner) = found else { continue };
            match visits[inner] {
                Visit::Done => {}
                Visit::New => {
                    visits[inner] = Visit::Open;
                    path.push(inner);
                    positions.push(0);
                }
                Visit::Open => {
                    let from = path.iter().position(|node| *node == inner).unwrap_or_default();
                    report(Cycle { nodes: &path[from..], closing_child });
                }
            }
        }
    }
    order
}
