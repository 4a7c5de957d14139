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
    // stdio.h
    ("BUFSIZ", 0x2000),
];
