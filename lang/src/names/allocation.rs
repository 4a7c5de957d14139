//! The flags of memory allocations, as `include/trace/events/mmflags.h` names them (Linux 6.18).

const DIRECT_RECLAIM: u64 = 1 << 10;
const KSWAPD_RECLAIM: u64 = 1 << 11;
const RECLAIM: u64 = DIRECT_RECLAIM | KSWAPD_RECLAIM;
const IO: u64 = 1 << 6;
const FS: u64 = 1 << 7;
const KERNEL: u64 = RECLAIM | IO | FS;
const HARDWALL: u64 = 1 << 20;
const USER: u64 = KERNEL | HARDWALL;
const HIGHMEM: u64 = 1 << 1;
const HIGHUSER: u64 = USER | HIGHMEM;
const SKIP_KASAN: u64 = 1 << 25;
const MOVABLE: u64 = HIGHUSER | 1 << 3;
const TRANSHUGE_LIGHT: u64 = (MOVABLE | 1 << 18 | 1 << 19 | 1 << 13) & !RECLAIM;

/// Combinations first, then single flags; the first that is there is taken, and what it means is taken away.
#[rustfmt::skip]
static FLAGS: &[(u64, &str)] = &[
    (TRANSHUGE_LIGHT | DIRECT_RECLAIM, "GFP_TRANSHUGE"), (TRANSHUGE_LIGHT, "GFP_TRANSHUGE_LIGHT"),
    (MOVABLE | SKIP_KASAN, "GFP_HIGHUSER_MOVABLE"), (MOVABLE, "GFP_HIGHUSER_MOVABLE"), (HIGHUSER, "GFP_HIGHUSER"),
    (USER, "GFP_USER"), (KERNEL | 1 << 22, "GFP_KERNEL_ACCOUNT"), (KERNEL, "GFP_KERNEL"), (RECLAIM | IO, "GFP_NOFS"),
    (1 << 5 | KSWAPD_RECLAIM, "GFP_ATOMIC"), (RECLAIM, "GFP_NOIO"), (KSWAPD_RECLAIM | 1 << 13, "GFP_NOWAIT"),
    (1 << 0, "GFP_DMA"), (1 << 2, "GFP_DMA32"),
    (HIGHMEM, "__GFP_HIGHMEM"), (1 << 3, "__GFP_MOVABLE"), (1 << 4, "__GFP_RECLAIMABLE"), (1 << 5, "__GFP_HIGH"),
    (IO, "__GFP_IO"), (FS, "__GFP_FS"), (1 << 8, "__GFP_ZERO"), (DIRECT_RECLAIM, "__GFP_DIRECT_RECLAIM"),
    (KSWAPD_RECLAIM, "__GFP_KSWAPD_RECLAIM"), (1 << 12, "__GFP_WRITE"), (1 << 13, "__GFP_NOWARN"),
    (1 << 14, "__GFP_RETRY_MAYFAIL"), (1 << 15, "__GFP_NOFAIL"), (1 << 16, "__GFP_NORETRY"),
    (1 << 17, "__GFP_MEMALLOC"), (1 << 18, "__GFP_COMP"), (1 << 19, "__GFP_NOMEMALLOC"), (HARDWALL, "__GFP_HARDWALL"),
    (1 << 21, "__GFP_THISNODE"), (1 << 22, "__GFP_ACCOUNT"), (1 << 23, "__GFP_ZEROTAGS"),
];

/// Appends the names of the flags, with `|` between them, and what has no name in hexadecimal; `none` of 0.
pub fn allocation_flags(mut flags: u64, out: &mut Vec<u8>) {
    if flags == 0 {
        return out.extend_from_slice(b"none");
    }
    let mut is_first = true;
    for (mask, name) in FLAGS {
        if flags & mask != *mask {
            continue;
        }
        flags &= !mask;
        if !std::mem::take(&mut is_first) {
            out.push(b'|');
        }
        out.extend_from_slice(name.as_bytes());
    }
    if flags != 0 {
        if !is_first {
            out.push(b'|');
        }
        out.extend_from_slice(format!("{flags:#x}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_names() {
        for (flags, expected) in [
            (0, "none"),
            (0xcc0, "GFP_KERNEL"),
            (0xdc0, "GFP_KERNEL|__GFP_ZERO"),
            (0x400cc0, "GFP_KERNEL_ACCOUNT"),
            (0x820, "GFP_ATOMIC"),
            (0x140cca, "GFP_HIGHUSER_MOVABLE|__GFP_COMP"),
            (0x2000_0100, "__GFP_ZERO|0x20000000"),
            (1 << 40, "0x10000000000"),
        ] {
            let mut out = Vec::new();
            allocation_flags(flags, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{flags:#x}");
        }
    }
}
