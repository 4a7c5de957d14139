//! What the code is made for: the forms that a kernel allows.

use rtscript_lang::kernel::Features;

/// The choices that depend on the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub read: ReadForm,
    pub loops: Loops,
    /// Signed division and sign-extending moves and loads.
    pub isa_v4: bool,
    /// Members of the kernel's structures are relocated when the program is loaded. Where it runs at once their
    /// offsets are known, and are plain numbers.
    pub relocate: bool,
    /// Programs of uprobes and of iterators may sleep, to read memory of a process that is not resident, or not the running one.
    pub sleepable: bool,
    /// Report every failed read and every failed helper (`-k`).
    pub report_failures: bool,
}

/// How kernel memory is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadForm {
    /// Direct loads behind the kfunc `bpf_rdonly_cast` (6.17 and later). About 1 ns a hop.
    Cast,
    /// The helper `bpf_probe_read_kernel`: any kernel, 28 ns a read, and a failure can be told.
    Probe,
}

/// What bounds a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loops {
    /// The instruction `may_goto` in each round (6.9 and later).
    Budget,
    /// The helper `bpf_loop`, which calls a function for each round (5.17 and later).
    Calls,
    /// Nothing: the verifier walks each round, so that loops have to be short.
    Walked,
}

impl Loops {
    fn of(features: &Features) -> Loops {
        match (features.may_goto, features.bpf_loop) {
            (true, _) => Loops::Budget,
            (false, true) => Loops::Calls,
            (false, false) => Loops::Walked,
        }
    }
}

impl Target {
    /// For programs that run at once on a kernel with these features.
    pub fn running(features: &Features, report_failures: bool) -> Target {
        let direct = features.rdonly_cast && !report_failures;
        let read = if direct { ReadForm::Cast } else { ReadForm::Probe };
        Target {
            read,
            loops: Loops::of(features),
            isa_v4: features.isa_v4,
            relocate: false,
            sleepable: features.sleepable,
            report_failures,
        }
    }

    /// For saved objects: no kfunc, so that every loader takes them.
    pub fn portable() -> Target {
        Target {
            read: ReadForm::Probe,
            loops: Loops::Calls,
            isa_v4: false,
            relocate: true,
            sleepable: true,
            report_failures: false,
        }
    }
}
