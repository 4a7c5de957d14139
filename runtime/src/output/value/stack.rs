//! Stacks as text: a line for each function, in the layout of the stack's mode.

use rtscript_lang::types::{Space, Stack, StackMode};

use super::Values;
use super::bytes::{first, from, word};
use crate::output::number;

/// What stands before a frame of a stack.
const INDENT: &[u8] = b"        ";
/// The status of a frame whose build id the kernel knew.
const BPF_STACK_BUILD_ID_VALID: u32 = 1;
/// The address that ends a stack which could not be followed further.
const UNWIND_FAILURE: u64 = u64::MAX;

impl Values<'_> {
    pub(super) fn stack(&self, stack: Stack, bytes: &[u8], out: &mut Vec<u8>) {
        out.push(b'\n');
        let pid = match stack.space {
            Space::User => word(bytes) as u32,
            Space::Kernel | Space::Either | Space::Context => 0,
        };
        for (index, frame) in frames(stack, bytes).enumerate() {
            let frame = match frame {
                Frame::Address(address) => address,
                Frame::InFile { build_id, offset } => {
                    out.extend_from_slice(INDENT);
                    build_id.iter().for_each(|&byte| number::hex_byte(byte, false, out));
                    out.push(b' ');
                    number::address(offset, out);
                    out.push(b'\n');
                    continue;
                }
            };
            if frame == UNWIND_FAILURE {
                out.extend_from_slice(INDENT);
                out.extend_from_slice(b"<unwind failure>\n");
                continue;
            }
            match (stack.mode, stack.space) {
                (StackMode::Raw, _) => {
                    out.extend_from_slice(number::Digits::hex(frame, false).as_bytes());
                    out.push(b'\n');
                }
                (StackMode::Symbols | StackMode::Perf | StackMode::BuildId, Space::User) => {
                    self.user_frame(stack.mode, pid, frame, index > 0, out);
                }
                (mode, Space::Kernel | Space::Either | Space::Context) => {
                    before(mode, frame, out);
                    self.symbols.name_and_offset(frame, mode == StackMode::Perf, out);
                    out.push(b'\n');
                }
            }
        }
    }

    /// One line for each function: those that were inlined, innermost first, and the one that they became part of.
    fn user_frame(&self, mode: StackMode, pid: u32, address: u64, returned: bool, out: &mut Vec<u8>) {
        let location = self.user_symbols.find(pid, address, returned);
        let module = |out: &mut Vec<u8>| {
            if mode == StackMode::Perf {
                out.extend_from_slice(b" (");
                out.extend_from_slice(location.module.as_deref().unwrap_or("[unknown]").as_bytes());
                out.push(b')');
            }
        };
        if location.calls.is_empty() {
            before(mode, address, out);
            number::address(address, out);
            module(out);
            out.push(b'\n');
        }
        for call in location.calls.iter() {
            before(mode, address, out);
            out.extend_from_slice(call.name.as_bytes());
            match call.offset {
                Some(offset) => {
                    out.push(b'+');
                    number::unsigned(offset, out);
                }
                None => out.extend_from_slice(b" [inlined]"),
            }
            if let Some(source) = &call.source {
                out.extend_from_slice(b" @");
                out.extend_from_slice(source.as_bytes());
            }
            module(out);
            out.push(b'\n');
        }
    }
}

/// What stands before a frame.
fn before(mode: StackMode, address: u64, out: &mut Vec<u8>) {
    match mode {
        StackMode::Perf => {
            out.push(b'\t');
            out.extend_from_slice(number::Digits::hex(address, false).as_bytes());
            out.push(b' ');
        }
        StackMode::Symbols | StackMode::Raw | StackMode::BuildId => out.extend_from_slice(INDENT),
    }
}

/// A frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Address(u64),
    /// Of a stack by build id, where the kernel knew it.
    InFile {
        build_id: [u8; 20],
        offset: u64,
    },
}

/// The frames of a stack, innermost first.
pub(super) fn frames(stack: Stack, bytes: &[u8]) -> impl Iterator<Item = Frame> + use<'_> {
    let frames = from(bytes, stack.header()).chunks(stack.frame_size() as usize).take(stack.frames as usize);
    frames.map_while(move |bytes| match stack.mode {
        StackMode::Symbols | StackMode::Perf | StackMode::Raw => {
            Some(word(bytes)).filter(|&address| address != 0).map(Frame::Address)
        }
        StackMode::BuildId => {
            let offset = word(from(bytes, 24));
            match word(first(bytes, 4)) as u32 {
                0 => None,
                BPF_STACK_BUILD_ID_VALID => {
                    let mut build_id = [0; 20];
                    build_id.copy_from_slice(bytes.get(4..24)?);
                    Some(Frame::InFile { build_id, offset })
                }
                // The kernel had no build id at hand: then this is the address itself.
                _ => Some(Frame::Address(offset)),
            }
        }
    })
}
