//! BPF and perf events.

#[rustfmt::skip]
pub static CONSTANTS: &[(&str, i64)] = &[
    // linux/bpf.h
    ("BPF_ADD", 0), ("BPF_FROM_LE", 0), ("BPF_IMM", 0), ("BPF_JA", 0), ("BPF_K", 0), ("BPF_LD", 0),
    ("BPF_TO_LE", 0), ("BPF_W", 0), ("BPF_FETCH", 1), ("BPF_F_ALLOW_OVERRIDE", 1), ("BPF_F_QUERY_EFFECTIVE", 1),
    ("BPF_F_STRICT_ALIGNMENT", 1), ("BPF_F_TEST_RUN_ON_CPU", 1), ("BPF_LDX", 1), ("BPF_PSEUDO_CALL", 1),
    ("BPF_PSEUDO_MAP_FD", 1), ("BPF_F_ALLOW_MULTI", 2), ("BPF_F_ANY_ALIGNMENT", 2),
    ("BPF_F_TEST_XDP_LIVE_FRAMES", 2), ("BPF_PSEUDO_KFUNC_CALL", 2), ("BPF_PSEUDO_MAP_VALUE", 2), ("BPF_ST", 2),
    ("BPF_PSEUDO_BTF_ID", 3), ("BPF_STX", 3), ("BPF_ALU", 4), ("BPF_F_REPLACE", 4), ("BPF_F_TEST_RND_HI32", 4),
    ("BPF_F_TEST_SKB_CHECKSUM_COMPLETE", 4), ("BPF_PSEUDO_FUNC", 4), ("BPF_JMP", 5), ("BPF_PSEUDO_MAP_IDX", 5),
    ("BPF_JMP32", 6), ("BPF_PSEUDO_MAP_IDX_VALUE", 6), ("BPF_RET", 6), ("BPF_ALU64", 7), ("BPF_MISC", 7),
    ("BPF_FROM_BE", 8), ("BPF_F_TEST_STATE_FREQ", 8), ("BPF_H", 8), ("BPF_TAG_SIZE", 8), ("BPF_TO_BE", 8),
    ("BPF_X", 8), ("BPF_B", 16), ("BPF_F_SLEEPABLE", 16), ("BPF_JEQ", 16), ("BPF_OBJ_NAME_LEN", 16),
    ("BPF_SUB", 16), ("BPF_BUILD_ID_SIZE", 20), ("BPF_DW", 24), ("BPF_F_REDIRECT_FLAGS", 25), ("BPF_ABS", 32),
    ("BPF_F_XDP_HAS_FRAGS", 32), ("BPF_JGT", 32), ("BPF_MUL", 32), ("BPF_DIV", 48), ("BPF_JGE", 48),
    ("BPF_IND", 64), ("BPF_JSET", 64), ("BPF_OR", 64), ("BPF_AND", 80), ("BPF_JNE", 80), ("BPF_JSGT", 96),
    ("BPF_LSH", 96), ("BPF_MEM", 96), ("BPF_JSGE", 112), ("BPF_RSH", 112), ("BPF_CALL", 128), ("BPF_LEN", 128),
    ("BPF_NEG", 128), ("BPF_EXIT", 144), ("BPF_MOD", 144), ("BPF_JLT", 160), ("BPF_MSH", 160), ("BPF_XOR", 160),
    ("BPF_JLE", 176), ("BPF_MOV", 176), ("BPF_ARSH", 192), ("BPF_ATOMIC", 192), ("BPF_JSLT", 192),
    ("BPF_XADD", 192), ("BPF_END", 208), ("BPF_JSLE", 208), ("BPF_XCHG", 225), ("BPF_CMPXCHG", 241),
    ("BPF_MAXINSNS", 0x1000),
];
