//! The order of blocks, their predecessors, and which blocks lie on every way to others.
//!
//! Dominators by the algorithm of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).

use cranelift_entity::SecondaryMap;

use crate::ir::{Block, Function};

/// The blocks that are reached, and how.
pub struct Flow {
    /// In reverse postorder: the entry first, and apart from loops each block behind its predecessors.
    pub order: Vec<Block>,
    /// Once for each edge.
    pub predecessors: SecondaryMap<Block, Vec<Block>>,
    /// The position in `order`; `None` for blocks that are not reached.
    pub position: SecondaryMap<Block, Option<u32>>,
}

impl Flow {
    pub fn of(function: &Function) -> Flow {
        let successors = |block: Block| {
            let mut next: Vec<Block> =
                function.blocks[block].terminator.jumps().map(|jump| jump.block).collect();
            next.reverse();
            next
        };
        let mut seen: SecondaryMap<Block, bool> = SecondaryMap::new();
        let mut postorder = Vec::new();
        let mut stack = vec![(function.entry, successors(function.entry))];
        seen[function.entry] = true;
        while let Some((block, rest)) = stack.last_mut() {
            match rest.pop() {
                Some(next) if seen[next] => {}
                Some(next) => {
                    seen[next] = true;
                    stack.push((next, successors(next)));
                }
                None => {
                    postorder.push(*block);
                    stack.pop();
                }
            }
        }
        postorder.reverse();
        let mut predecessors: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        let mut position = SecondaryMap::new();
        for (index, &block) in postorder.iter().enumerate() {
            position[block] = Some(index as u32);
            for jump in function.blocks[block].terminator.jumps() {
                predecessors[jump.block].push(block);
            }
        }
        Flow { order: postorder, predecessors, position }
    }

    /// The immediate dominator of each block that is reached; of the entry, itself.
    pub fn dominators(&self) -> SecondaryMap<Block, Option<Block>> {
        let mut dominator: SecondaryMap<Block, Option<Block>> = SecondaryMap::new();
        let Some(&entry) = self.order.first() else { return dominator };
        dominator[entry] = Some(entry);
        let mut changed = true;
        while changed {
            changed = false;
            for &block in &self.order[1..] {
                let known = self.predecessors[block].iter().copied().filter(|p| dominator[*p].is_some());
                let nearest = known.reduce(|a, b| self.meet(&dominator, a, b));
                if nearest != dominator[block] {
                    dominator[block] = nearest;
                    changed = true;
                }
            }
        }
        dominator
    }

    /// The nearest block that dominates both.
    pub fn meet(&self, dominator: &SecondaryMap<Block, Option<Block>>, mut a: Block, mut b: Block) -> Block {
        while a != b {
            let (further, other) =
                if self.position[a] > self.position[b] { (&mut a, b) } else { (&mut b, a) };
            match dominator[*further] {
                Some(up) => *further = up,
                None => return other,
            }
        }
        a
    }
}
