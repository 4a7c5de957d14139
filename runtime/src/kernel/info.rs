//! What `--info` shows: the machine, and what its kernel offers for tracing.

use std::fs;
use std::path::Path;

use rtscript_lang::kernel::{Kernel, KernelError};

use super::features;
use super::privileges::{check_privileges, lockdown};
use crate::kprobe_sessions::has_sessions;
use crate::providers::{kprobe, uprobe};

/// A heading, and lines of name and value below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub title: &'static str,
    pub lines: Vec<(&'static str, String)>,
}

/// All sections, in the order in which they are shown.
pub fn info(kernel: &dyn Kernel) -> Vec<Section> {
    vec![system(kernel), build(), bpf(kernel), probe_types(kernel), sources(kernel)]
}

fn system(kernel: &dyn Kernel) -> Section {
    let read = |path| fs::read_to_string(path).map_or("unknown".to_owned(), |text| text.trim().to_owned());
    let release = read("/proc/sys/kernel/osrelease");
    Section {
        title: "System",
        lines: vec![
            (
                "OS",
                format!("{} {release} {}", read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/version")),
            ),
            ("Arch", std::env::consts::ARCH.to_owned()),
            ("CPUs", kernel.cpu_count().to_string()),
        ],
    }
}

fn build() -> Section {
    Section { title: "Build", lines: vec![("version", env!("CARGO_PKG_VERSION").to_owned())] }
}

fn bpf(kernel: &dyn Kernel) -> Section {
    let features = kernel.features();
    Section {
        title: "Kernel features",
        lines: vec![
            ("btf", yes(kernel.btf().is_ok())),
            ("module btf", yes(kernel.modules().is_ok_and(|modules| modules.len() > 1))),
            ("direct kernel reads (rdonly_cast)", yes(features.rdonly_cast)),
            ("may_goto", yes(features.may_goto)),
            ("bpf_loop", yes(features.bpf_loop)),
            ("instruction set v4", yes(features.isa_v4)),
            ("cookies of raw tracepoints", yes(features.raw_cookies)),
            ("cookies of perf events", yes(features.perf_cookies)),
        ],
    }
}

fn probe_types(kernel: &dyn Kernel) -> Section {
    let has_source = |name| yes(Path::new("/sys/bus/event_source/devices").join(name).exists());
    Section {
        title: "Probe types",
        lines: vec![
            ("kprobe, kretprobe", has_source("kprobe")),
            ("many by one call (kprobe_multi)", yes(kprobe::has_multi(kernel))),
            ("both ends (kprobe_session)", yes(has_sessions(kernel))),
            ("fentry, fexit", yes(features::has_fentry(kernel))),
            ("uprobe, uretprobe, usdt", has_source("uprobe")),
            ("many by one call (uprobe_multi)", yes(uprobe::attaches_many(kernel))),
            ("user memory not resident", yes(kernel.features().sleepable)),
            ("hardware", has_source("cpu")),
            ("iter", yes(features::has_iterators(kernel))),
        ],
    }
}

fn sources(kernel: &dyn Kernel) -> Section {
    let tracepoints = match kernel.tracepoints() {
        Ok(tracepoints) => format!("yes ({} tracepoints)", tracepoints.len()),
        Err(error) => no(&error),
    };
    let types = match kernel.btf() {
        Ok(btf) => format!("yes ({} types)", btf.len()),
        Err(error) => no(&error),
    };
    let privileges = match check_privileges() {
        Ok(()) => "yes".to_owned(),
        Err(reason) => format!("no: {reason}"),
    };
    Section {
        title: "Access",
        lines: vec![
            ("privileges", privileges),
            ("lockdown", lockdown().unwrap_or_else(|| "unknown".to_owned())),
            ("types (BTF)", types),
            ("tracepoint formats (tracefs)", tracepoints),
        ],
    }
}

fn yes(is_there: bool) -> String {
    if is_there { "yes" } else { "no" }.to_owned()
}

fn no(error: &KernelError) -> String {
    match error {
        KernelError::Missing { what } => format!("no: there is no {what}"),
        KernelError::Denied { what, help } => format!("no: {what} cannot be read; {help}"),
        KernelError::Malformed { what, reason } => format!("no: {what} makes no sense: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use rtscript_lang::kernel::FixtureKernel;

    use super::*;

    #[test]
    fn a_kernel_says_what_it_has() {
        let btf = include_bytes!("../../../tests/fixtures/kernel.btf");
        let sections = info(&FixtureKernel::new(btf).unwrap());
        let value = |name| {
            let mut lines = sections.iter().flat_map(|section| &section.lines);
            lines.find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(value("btf"), Some("yes"));
        assert_eq!(value("module btf"), Some("no"));
        assert_eq!(value("CPUs"), Some("2"));
        assert_eq!(value("iter"), Some("no"));
        assert_eq!(value("direct kernel reads (rdonly_cast)"), Some("yes"));
        assert!(value("tracepoint formats (tracefs)").unwrap().starts_with("no: "), "{sections:?}");
    }
}
