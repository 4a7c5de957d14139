//! Numbers of C itself.

#[rustfmt::skip]
pub static CONSTANTS: &[(&str, i64)] = &[
    // netinet/tcp.h
    ("INT16_MIN", -32768), ("INT16_WIDTH", 16), ("INT16_MAX", 32767), ("INT32_MIN", -2147483648),
    ("INT32_WIDTH", 32), ("INT32_MAX", 0x7fffffff), ("INT64_MIN", -9223372036854775808), ("INT64_WIDTH", 64),
    ("INT64_MAX", 0x7fffffffffffffff), ("INT8_MIN", -128), ("INT8_WIDTH", 8), ("INT8_MAX", 127),
    ("INTPTR_MIN", -9223372036854775808), ("INTPTR_WIDTH", 64), ("INTPTR_MAX", 0x7fffffffffffffff),
    ("PTRDIFF_MIN", -9223372036854775808), ("PTRDIFF_WIDTH", 64), ("PTRDIFF_MAX", 0x7fffffffffffffff),
    ("SIZE_WIDTH", 64), ("UINT16_WIDTH", 16), ("UINT16_MAX", 65535), ("UINT32_WIDTH", 32),
    ("UINT32_MAX", 0xffffffff), ("UINT64_WIDTH", 64), ("UINT8_WIDTH", 8), ("UINT8_MAX", 255), ("UINTPTR_WIDTH", 64),
    // sys/wait.h
    ("STDERR_FILENO", 2), ("STDIN_FILENO", 0), ("STDOUT_FILENO", 1),
    // limits.h
    ("CHAR_MIN", -128), ("CHAR_BIT", 8), ("CHAR_WIDTH", 8), ("CHAR_MAX", 127), ("INT_MIN", -2147483648),
    ("INT_WIDTH", 32), ("INT_MAX", 0x7fffffff), ("LLONG_MIN", -9223372036854775808), ("LLONG_WIDTH", 64),
    ("LLONG_MAX", 0x7fffffffffffffff), ("LONG_MIN", -9223372036854775808), ("LONG_WIDTH", 64),
    ("LONG_MAX", 0x7fffffffffffffff), ("SCHAR_MIN", -128), ("SCHAR_WIDTH", 8), ("SCHAR_MAX", 127),
    ("SHRT_MIN", -32768), ("SHRT_WIDTH", 16), ("SHRT_MAX", 32767), ("SSIZE_MAX", 0x7fffffffffffffff),
    ("UCHAR_WIDTH", 8), ("UCHAR_MAX", 255), ("UINT_WIDTH", 32), ("UINT_MAX", 0xffffffff), ("ULLONG_WIDTH", 64),
    ("ULONG_WIDTH", 64), ("USHRT_WIDTH", 16), ("USHRT_MAX", 65535),
    // linux/limits.h
    ("S8_MIN", -128), ("S8_MAX", 127), ("U8_MAX", 255), ("S16_MIN", -32768), ("S16_MAX", 32767), ("U16_MAX", 65535),
    ("S32_MIN", -2147483648), ("S32_MAX", 0x7fffffff), ("U32_MAX", 0xffffffff),
    ("S64_MIN", -9223372036854775808), ("S64_MAX", 0x7fffffffffffffff),
    // asm/bitsperlong.h
    ("BITS_PER_LONG", 64), ("BITS_PER_LONG_LONG", 64), ("BITS_PER_BYTE", 8),
    // linux/sizes.h
    ("SZ_1K", 1 << 10), ("SZ_2K", 2 << 10), ("SZ_4K", 4 << 10), ("SZ_8K", 8 << 10), ("SZ_16K", 16 << 10),
    ("SZ_32K", 32 << 10), ("SZ_64K", 64 << 10), ("SZ_128K", 128 << 10), ("SZ_256K", 256 << 10), ("SZ_512K", 512 << 10),
    ("SZ_1M", 1 << 20), ("SZ_2M", 2 << 20), ("SZ_4M", 4 << 20), ("SZ_16M", 16 << 20), ("SZ_1G", 1 << 30),
    // stdio.h
    ("BUFSIZ", 0x2000),
];
