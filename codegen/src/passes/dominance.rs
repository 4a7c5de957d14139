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

/// Which blocks dominate which.
pub struct Tree {
    /// Each block behind those that dominate it, with all that it dominates right behind it.
    pub order: Vec<Block>,
    /// From a block's own position to the end of what it dominates.
    spans: SecondaryMap<Block, (u32, u32)>,
}

impl Tree {
    /// Whether every way to `below`, a block that is reached, leads through `above`, or it is that block.
    pub fn dominates(&self, above: Block, below: Block) -> bool {
        let (start, end) = self.spans[above];
        (start..end).contains(&self.spans[below].0)
    }
}

impl Flow {
    pub fn of(function: &Function) -> Flow {
        let count = function.blocks.len();
        let mut seen: SecondaryMap<Block, bool> = SecondaryMap::with_capacity(count);
        let mut order = Vec::with_capacity(count);
        // Blocks on the way, and how many of their jumps were followed.
        let mut stack = vec![(function.entry, 0)];
        seen[function.entry] = true;
        while let Some((block, followed)) = stack.last_mut() {
            match function.blocks[*block].terminator.jumps().nth(*followed) {
                Some(jump) => {
                    *followed += 1;
                    if !std::mem::replace(&mut seen[jump.block], true) {
                        stack.push((jump.block, 0));
                    }
                }
                None => {
                    order.push(*block);
                    stack.pop();
                }
            }
        }
        order.reverse();
        let mut predecessors: SecondaryMap<Block, Vec<Block>> = SecondaryMap::with_capacity(count);
        let mut position = SecondaryMap::with_capacity(count);
        for (index, &block) in order.iter().enumerate() {
            position[block] = Some(index as u32);
            for jump in function.blocks[block].terminator.jumps() {
                predecessors[jump.block].push(block);
            }
        }
        Flow { order, predecessors, position }
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

    /// The tree of dominators, walked once, so that each question to it takes two comparisons.
    pub fn tree(&self, dominators: &SecondaryMap<Block, Option<Block>>) -> Tree {
        let mut children: SecondaryMap<Block, Vec<Block>> = SecondaryMap::new();
        // From the end, so that a stack gives those that come first first.
        for &block in self.order.iter().skip(1).rev() {
            if let Some(above) = dominators[block] {
                children[above].push(block);
            }
        }
        let mut order = Vec::with_capacity(self.order.len());
        let mut spans: SecondaryMap<Block, (u32, u32)> = SecondaryMap::new();
        let mut stack: Vec<Block> = self.order.first().copied().into_iter().collect();
        while let Some(block) = stack.pop() {
            let at = order.len() as u32;
            spans[block] = (at, at + 1);
            order.push(block);
            stack.extend(&children[block]);
        }
        for &block in order.iter().skip(1).rev() {
            if let Some(above) = dominators[block] {
                spans[above].1 = spans[above].1.max(spans[block].1);
            }
        }
        Tree { order, spans }
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
