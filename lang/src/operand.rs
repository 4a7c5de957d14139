//! Values that a compiler has left where it had them: in registers, in memory, or as constants.

/// A value of a process: `base + scale × index + displacement`, or what lies in memory at that address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operand {
    /// The offset in the context of the `u64` that holds a register.
    pub base: Option<u32>,
    /// The same, and what it is multiplied by: 1, 2, 4 or 8.
    pub index: Option<(u32, u8)>,
    pub displacement: i64,
    /// The value lies in the process's memory at that address.
    pub in_memory: bool,
    /// The value begins at this bit: 8 for the second byte of a register.
    pub shift: u8,
    /// 1, 2, 4 or 8 bytes.
    pub size: u8,
    pub signed: bool,
}
