//! Tests with the kernel that runs. They trace this very thread alone.

use std::os::fd::{AsFd, OwnedFd};

use aya_obj::generated::bpf_prog_type;
use rtscript_lang::kernel::Kernel;
use rtscript_lang::types::Structs;

use super::rawtracepoint::RawTracepoint;
use super::tracepoint::Tracepoint;
use super::{interval, *};
use crate::attach::Environment;
use crate::bpf::test::{add_cookie, requires_bpf, total};
use crate::bpf::{Map, Program};
use crate::kernel::{RunningKernel, Sources};

fn kernel() -> RunningKernel {
    RunningKernel::new(Sources::default())
}

fn attach(
    provider: &dyn Attach,
    point: &str,
    program: &Program,
    cookies: &[u64],
    kernel: &dyn Kernel,
) -> Vec<OwnedFd> {
    let expansion = provider.expand(point, kernel).unwrap();
    let [target] = &expansion.targets[..] else { panic!("{expansion:?}") };
    let environment = Environment { kernel, pid: None, child: None };
    let attach = |cookie| provider.attach(target, program.as_fd(), cookie, &environment).unwrap();
    cookies.iter().flat_map(|cookie| attach(*cookie)).collect()
}

/// Renames this thread, by which the kernel raises `task:task_rename`.
fn rename() {
    // SAFETY: the name ends in NUL and lives as long as the call.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"live_tests".as_ptr()) };
}

fn seen_by_renames(provider: &dyn Attach, kind: bpf_prog_type, point: &str, cookies: &[u64]) -> u64 {
    let (program, map) = add_cookie(kind);
    let links = attach(provider, point, &program, cookies, &kernel());
    for _ in 0..5 {
        rename();
    }
    drop(links);
    rename();
    total(&map)
}

#[test]
fn a_raw_tracepoint_is_seen_while_attached() {
    if !requires_bpf() || kernel().btf().is_err() {
        return;
    }
    let kind = bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT;
    assert_eq!(seen_by_renames(&RawTracepoint, kind, "task_rename", &[1000, 1]), 5005);
}

#[test]
fn a_tracepoint_is_seen_while_attached() {
    if !requires_bpf() || kernel().tracepoints().is_err() {
        return;
    }
    let kind = bpf_prog_type::BPF_PROG_TYPE_TRACEPOINT;
    // The kernel takes a program only once for one tracepoint.
    assert_eq!(seen_by_renames(&Tracepoint, kind, "task:task_rename", &[7]), 35);
}

#[test]
fn an_interval_runs_on_one_cpu() {
    if !requires_bpf() {
        return;
    }
    let (program, map) = add_cookie(bpf_prog_type::BPF_PROG_TYPE_PERF_EVENT);
    let links = attach(&interval::Interval, "1ms", &program, &[1000, 1], &kernel());
    stay_on(crate::bpf::counter::online_cpus().unwrap()[0]);
    let started = std::time::Instant::now();
    while !sees_both(&map) && started.elapsed().as_secs() < 60 {}
    drop(links);
    assert!(sees_both(&map), "{}", total(&map));
}

fn sees_both(map: &Map) -> bool {
    total(map) > 1000 && !total(map).is_multiple_of(1000)
}

fn stay_on(cpu: u32) {
    // SAFETY: a set is an array of bits, for which zero is a value; the CPU's number is below its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Whatever this kernel lists can be compiled for: its context is found, and has a type for every argument.
#[test]
fn all_that_is_listed_has_a_context() {
    let kernel = kernel();
    if kernel.btf().is_err() {
        return println!("skipped: no BTF");
    }
    let mut structs = Structs::default();
    for provider in PROVIDERS {
        // An interval has no number yet, and all functions of all programs are too many.
        if provider.names()[0] == "interval" || provider.is_in_files() {
            continue;
        }
        let targets = match provider.list("*", &kernel) {
            Ok(targets) => targets,
            Err(error) => {
                println!("skipped: {error:?}");
                continue;
            }
        };
        for target in targets {
            let context = provider.context(&target, &kernel, &mut structs);
            let context = context.unwrap_or_else(|error| panic!("{}: {error:?}", target.name));
            let described = provider.describe(&target, &kernel).unwrap();
            // A structure that is passed by value ends what a kprobe can tell.
            assert!(described.len() >= context.args.len(), "{}", target.name);
            for arg in &context.args {
                assert!(!arg.name.is_empty() && structs.layout(&arg.ty).align > 0, "{}", target.name);
            }
        }
    }
}
