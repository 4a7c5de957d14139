//! Where the members of a C structure lie: the rules of the x86-64 ABI, with gcc's attributes.
//!
//! A member begins at the next multiple of its alignment. A bit-field begins at the next bit, unless it would then
//! cross a boundary of its declared type; `packed` lets it cross. An unnamed one takes room and aligns nothing, and
//! one of no width moves on to the next boundary.

use rtscript_syntax::ast::Attributes;

/// A structure, or a union, that is being laid out. Offsets count in bits, sizes and alignments in bytes.
#[derive(Debug)]
pub struct Layouter {
    is_union: bool,
    packed: bool,
    /// The first bit that is free.
    next: u64,
    /// Where the member that ends last ends.
    end: u64,
    align: u64,
}

/// What of a member's type decides where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub size: u64,
    pub align: u64,
    /// The member's own.
    pub attributes: Attributes,
}

impl Layouter {
    pub fn new(is_union: bool, attributes: Attributes) -> Layouter {
        Layouter { is_union, packed: attributes.packed, next: 0, end: 0, align: 1 }
    }

    /// Places a member, and says at which bit it begins.
    pub fn member(&mut self, of: Footprint) -> u64 {
        let align = self.alignment(of);
        let offset = self.start().next_multiple_of(8 * align);
        self.align = self.align.max(align);
        self.take(offset, of.size * 8);
        offset
    }

    /// Places a bit-field; the type is the one that it is declared with.
    pub fn bits(&mut self, of: Footprint, width: u64, is_named: bool) -> u64 {
        let unit = 8 * of.size;
        let mut offset = self.start();
        if width == 0 {
            // Not even `packed` keeps it from the boundary.
            let align = of.align.max(of.attributes.aligned.unwrap_or(1));
            self.take(offset.next_multiple_of(8 * align), 0);
            return offset;
        }
        let packed = self.packed || of.attributes.packed;
        if let Some(aligned) = of.attributes.aligned {
            offset = offset.next_multiple_of(8 * aligned);
        }
        if !packed && offset / unit != (offset + width - 1) / unit {
            offset = offset.next_multiple_of(8 * of.align);
        }
        if is_named {
            self.align = self.align.max(self.alignment(of));
        }
        self.take(offset, width);
        offset
    }

    /// Size and alignment of the whole.
    pub fn finish(self, attributes: Attributes) -> (u64, u64) {
        let align = self.align.max(attributes.aligned.unwrap_or(1));
        (self.end.div_ceil(8).next_multiple_of(align), align)
    }

    fn alignment(&self, of: Footprint) -> u64 {
        let natural = if self.packed || of.attributes.packed { 1 } else { of.align };
        natural.max(of.attributes.aligned.unwrap_or(1)).max(1)
    }

    fn start(&self) -> u64 {
        if self.is_union { 0 } else { self.next }
    }

    fn take(&mut self, offset: u64, bits: u64) {
        self.next = offset + bits;
        self.end = self.end.max(self.next);
    }
}
