//! `iter`: once for each object of a kind that the kernel has, such as its tasks: those that are there, and not what happens.
//!
//! What a kernel can go over it says in BTF: `NAME` where there are a function `bpf_iter_NAME` and a structure
//! `bpf_iter__NAME`, which is the context. Iterators over the elements of a map need one, and are left out.
//!
//! A program runs while its iterator is read, which the session does once everything is attached (`session/iterators.rs`). With a pin,
//! `iter:NAME:FILE`, it stays in the kernel and prints into the file, whenever somebody reads that.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya_obj::generated::bpf_attach_type;
use rtscript_lang::btf::{Btf, Field, Kind, TypeId};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::{Arg, AttachError, Context, Expansion, Place, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use crate::attach::{Attach, Environment, LoadAs, Loading};
use crate::bpf::{IterateOver, attach_iterator};

pub struct Iter;

const NAME: &str = "iter";
const FORM: &str = "iter:KIND or iter:KIND:FILE";
/// What the name of an iterator's function starts with.
const FUNCTION: &str = "bpf_iter_";
/// What the name of its context's structure starts with.
const STRUCT: &str = "bpf_iter__";
/// Where a pin without a directory goes.
const PINS: &str = "/sys/fs/bpf";
/// They go over the elements of one map, which is named when they are attached.
const OF_A_MAP: [&str; 3] = ["bpf_map_elem", "bpf_sk_storage_map", "sockmap"];
/// They can be told to go over one process.
const OF_A_PROCESS: [&str; 3] = ["task", "task_file", "task_vma"];
const CGROUPS: &str = "cgroup";

impl Provider for Iter {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "it"]
    }

    fn doc(&self) -> &'static str {
        "Once for each object of a kind that the kernel has, such as its tasks."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let (kind, pin) = split(point)?;
        let btf = kernel.btf()?;
        if is_wildcard(kind) {
            if pin.is_some() {
                return Err(AttachError::Form { expected: FORM });
            }
            let targets = all_matching(kind, btf);
            return if targets.is_empty() {
                Err(AttachError::NoMatch)
            } else {
                Ok(Expansion { targets, wildcard: true })
            };
        }
        if OF_A_MAP.contains(&kind) {
            let reason = "it goes over the elements of one map, which an attach point cannot name".to_owned();
            return Err(AttachError::Unsupported { reason });
        }
        if function(kind, btf).is_none() || structure(kind, btf).is_none() {
            let all = all_matching("*", btf);
            let nearest = nearest(kind, all.iter().map(|target| target.point()));
            let what = "iterator".to_owned();
            return Err(AttachError::Unknown { what, name: kind.to_owned(), nearest });
        }
        let target = Target { provider: NAME, name: format!("{NAME}:{point}") };
        Ok(Expansion { targets: vec![target], wildcard: false })
    }

    fn context(
        &self,
        target: &Target,
        kernel: &dyn Kernel,
        structs: &mut Structs,
    ) -> Result<Context, AttachError> {
        let btf = kernel.btf()?;
        let args = members(target, btf)?
            .into_iter()
            .map(|field| Arg {
                name: field.name.to_owned(),
                ty: structs.of_btf(btf, 0, field.ty),
                place: Place::Word(field.bit_offset / 8),
            })
            .collect();
        let words = Vec::new();
        Ok(Context { program: ProgramKind::Iter, args, words, retval: None, space: Space::Kernel })
    }

    fn context_struct(&self, target: &Target) -> Option<String> {
        Some(format!("{STRUCT}{}", kind_of(target)))
    }

    fn prints_to_reader(&self, target: &Target) -> bool {
        self.pin(target).is_some()
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        Ok(all_matching(pattern, kernel.btf()?))
    }

    fn describe(&self, target: &Target, kernel: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let btf = kernel.btf()?;
        Ok(members(target, btf)?.iter().map(|field| btf.declare(field.ty, field.name)).collect())
    }
}

impl Attach for Iter {
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        let load = |(target, _): &(Target, u64)| {
            let id = kernel.btf().ok().and_then(|btf| function(kind_of(target), btf));
            let id =
                id.ok_or_else(|| io::Error::other("the kernel's BTF does not describe this iterator"))?;
            Ok(LoadAs { attach_type: Some(bpf_attach_type::BPF_TRACE_ITER), btf_id: id.0, object: None })
        };
        targets.iter().map(load).collect::<io::Result<_>>().map(Loading::Each)
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        _: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        let kind = kind_of(target);
        let over = match environment.pid {
            _ if kind == CGROUPS => IterateOver::Cgroups,
            Some(pid) if OF_A_PROCESS.contains(&kind) => IterateOver::Process(pid),
            Some(_) | None => IterateOver::All,
        };
        Ok(vec![attach_iterator(program, over)?])
    }

    fn pin(&self, target: &Target) -> Option<PathBuf> {
        let (_, file) = target.point().split_once(':')?;
        Some(Path::new(PINS).join(file))
    }
}

/// `KIND` or `KIND:FILE`.
fn split(point: &str) -> Result<(&str, Option<&str>), AttachError> {
    let (kind, pin) = match point.split_once(':') {
        Some((kind, pin)) => (kind, Some(pin)),
        None => (point, None),
    };
    let is_file = |pin: &str| !pin.is_empty() && !pin.ends_with('/') && !pin.contains('\0');
    if kind.is_empty() || !pin.is_none_or(is_file) {
        return Err(AttachError::Form { expected: FORM });
    }
    Ok((kind, pin))
}

fn kind_of(target: &Target) -> &str {
    target.point().split(':').next().unwrap_or_default()
}

fn function(kind: &str, btf: &Btf) -> Option<TypeId> {
    btf.find(&format!("{FUNCTION}{kind}"), Kind::Func)
}

fn structure(kind: &str, btf: &Btf) -> Option<TypeId> {
    btf.find(&format!("{STRUCT}{kind}"), Kind::Struct)
}

/// The members of an iterator's context.
fn members<'b>(target: &Target, btf: &'b Btf) -> Result<Vec<Field<'b>>, AttachError> {
    let kind = kind_of(target);
    let unknown =
        || AttachError::Unknown { what: "iterator".to_owned(), name: kind.to_owned(), nearest: Vec::new() };
    Ok(btf.fields(structure(kind, btf).ok_or_else(unknown)?))
}

/// By name, for BTF has them in no order that means anything.
fn all_matching(pattern: &str, btf: &Btf) -> Vec<Target> {
    let structs = btf.of_kind(Kind::Struct).filter_map(|(_, name)| name.strip_prefix(STRUCT));
    let mut kinds: Vec<&str> = structs
        .filter(|kind| matches(pattern, kind) && !OF_A_MAP.contains(kind) && function(kind, btf).is_some())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| Target { provider: NAME, name: format!("{NAME}:{kind}") }).collect()
}
