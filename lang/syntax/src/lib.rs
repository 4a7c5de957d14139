//! lang/syntax
