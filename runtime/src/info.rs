//! `--info`: what this kernel offers, in two columns.

use std::io::{self, Write};

use rtscript_lang::kernel::Kernel;

use crate::kernel::info;

/// The width of the column of names.
const WIDTH: usize = 35;

pub fn write_info(kernel: &dyn Kernel, out: &mut dyn Write) -> io::Result<()> {
    for (index, section) in info(kernel).iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", section.title)?;
        for (name, value) in &section.lines {
            let name = format!("  {name}:");
            writeln!(out, "{name:<WIDTH$} {value}")?;
        }
    }
    Ok(())
}
