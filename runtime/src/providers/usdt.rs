//! `usdt`: probes that a program or library itself has put into its code.
//!
//! A probe is a `nop`, and a note says where it is, and where its arguments lie there (`notes.rs`, `arguments.rs`). A name may have several
//! sites, each with its arguments elsewhere: one program serves all of them, and the cookie of an attachment has in its
//! upper half the number of the site's operands. A probe with a semaphore is passed over by the program until somebody listens: the kernel
//! counts it up where we attach, in every process, and down again however we end.

mod arguments;
pub(crate) mod notes;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rtscript_lang::kernel::Kernel;
use rtscript_lang::operand::Operand;
use rtscript_lang::provider::{AttachError, Context, Expansion, Place, ProgramKind, Provider, Target};
use rtscript_lang::types::{Space, Structs};

use super::nearest::nearest;
use super::pattern::{is_wildcard, matches};
use super::registers::ARCH;
use super::uprobe::{self, files};
use crate::attach::{Attach, Environment, LoadAs, Loading};
use crate::bpf::{attach_perf_event, attach_uprobe_multi, perf};
use crate::elf::{Elf, ElfError};
use arguments::operands;
use notes::{Site, sites};

pub struct Usdt;

const NAME: &str = "usdt";
const FORM: &str = "usdt:FILE:NAME or usdt:FILE:PROVIDER:NAME";

/// What stands behind `usdt:`. Each part may be a pattern.
struct Point<'a> {
    file: &'a str,
    provider: &'a str,
    name: &'a str,
}

impl Point<'_> {
    fn is_of(&self, site: &Site) -> bool {
        matches(self.provider, &site.provider) && matches(self.name, &site.name)
    }
}

fn parse(point: &str) -> Option<Point<'_>> {
    let mut parts = point.rsplitn(3, ':').map(|part| part.trim_matches('"'));
    let (name, second, first) = (parts.next()?, parts.next()?, parts.next());
    let (file, provider) = match first {
        Some(file) => (file, second),
        None => (second, "*"),
    };
    (![file, provider, name].contains(&"")).then_some(Point { file, provider, name })
}

impl Provider for Usdt {
    fn names(&self) -> &'static [&'static str] {
        &[NAME, "U"]
    }

    fn doc(&self) -> &'static str {
        "A probe that a program or library has put into its code."
    }

    fn expand(&self, point: &str, kernel: &dyn Kernel) -> Result<Expansion, AttachError> {
        let parsed = parse(point).ok_or(AttachError::Form { expected: FORM })?;
        let files = files::find(parsed.file, kernel.process());
        if files.is_empty() {
            return Err(match parsed.file {
                "*" => AttachError::Form { expected: "usdt:FILE:NAME (a FILE of * needs -p PID)" },
                name => AttachError::Unknown {
                    what: "program or library".to_owned(),
                    name: name.to_owned(),
                    nearest: Vec::new(),
                },
            });
        }
        let mut targets: Vec<Target> = Vec::new();
        let mut names = Vec::new();
        for file in &files {
            match Elf::open(file) {
                Ok(elf) => {
                    for site in sites(&elf) {
                        if parsed.is_of(&site) {
                            targets.push(target(file, &site));
                        }
                        names.push(site.name);
                    }
                }
                // What a wildcard finds may be anything.
                Err(_) if is_wildcard(parsed.file) => {}
                Err(error) => return Err(unusable(file, &error)),
            }
        }
        unique(&mut targets);
        let wildcard = is_wildcard(point) || targets.len() > 1;
        match (targets.is_empty(), wildcard) {
            (false, _) => Ok(Expansion { targets, wildcard }),
            (true, true) => Err(AttachError::NoMatch),
            (true, false) => Err(AttachError::Unknown {
                what: format!("probe in {}", files[0].display()),
                name: parsed.name.to_owned(),
                nearest: nearest(parsed.name, names.iter().map(String::as_str)),
            }),
        }
    }

    fn context(&self, target: &Target, _: &dyn Kernel, _: &mut Structs) -> Result<Context, AttachError> {
        let (_, sites) = sites_of(target)?;
        Ok(Context {
            program: ProgramKind::Uprobe,
            args: Vec::new(),
            words: places(&specs(&sites)),
            retval: None,
            space: Space::User,
        })
    }

    fn is_in_files(&self) -> bool {
        true
    }

    fn list(&self, pattern: &str, kernel: &dyn Kernel) -> Result<Vec<Target>, AttachError> {
        let pattern = if pattern.contains(':') { pattern.to_owned() } else { format!("{pattern}:*:*") };
        let Some(parsed) = parse(&pattern) else { return Err(AttachError::Form { expected: FORM }) };
        let mut targets = Vec::new();
        for file in files::find_all(parsed.file, kernel.process()) {
            let Ok(elf) = Elf::open(&file) else { continue };
            targets
                .extend(sites(&elf).iter().filter(|site| parsed.is_of(site)).map(|site| target(&file, site)));
        }
        unique(&mut targets);
        Ok(targets)
    }

    fn describe(&self, target: &Target, _: &dyn Kernel) -> Result<Vec<String>, AttachError> {
        let (_, sites) = sites_of(target)?;
        let Some(site) = sites.first() else { return Ok(Vec::new()) };
        let describe = |(index, operand): (usize, Option<Operand>)| match operand {
            Some(Operand { size, signed, .. }) => {
                format!("{}int{}_t arg{index}", if signed { "" } else { "u" }, size * 8)
            }
            None => format!("arg{index} (cannot be read)"),
        };
        Ok(operands(&site.arguments, ARCH).into_iter().enumerate().map(describe).collect())
    }
}

impl Attach for Usdt {
    /// All sites of all matches in one file are attached by one call, where the kernel has it (6.6).
    fn loading(&self, targets: &[(Target, u64)], kernel: &dyn Kernel) -> io::Result<Loading> {
        let file = |target: &(Target, u64)| parse(target.0.point()).map(|point| point.file.to_owned());
        let first = targets.first().and_then(file);
        let in_one_file = targets.iter().all(|target| file(target) == first);
        let many = || {
            let sites = |(target, _): &(Target, u64)| sites_of(target).map_or(0, |(_, sites)| sites.len());
            targets.len() > 1 || targets.iter().map(sites).sum::<usize>() > 1
        };
        Ok(if in_one_file && many() && uprobe::attaches_many(kernel) {
            Loading::Together(uprobe::load_for_many())
        } else {
            Loading::Once(LoadAs::default())
        })
    }

    fn attach_together(
        &self,
        targets: &[(Target, u64)],
        program: BorrowedFd<'_>,
        environment: &Environment<'_>,
    ) -> io::Result<OwnedFd> {
        let (mut places, mut semaphores, mut path) = (Vec::new(), Vec::new(), None);
        for (target, cookie) in targets {
            let (file, found) = located(target)?;
            for Located { offset, semaphore, number } in found {
                places.push((offset, cookie | number << 32));
                semaphores.push(semaphore.unwrap_or(0));
            }
            path = Some(file);
        }
        let path = path.ok_or_else(gone)?;
        attach_uprobe_multi(program, &path, &places, Some(&semaphores), false, environment.pid)
    }

    fn attach(
        &self,
        target: &Target,
        program: BorrowedFd<'_>,
        cookie: u64,
        environment: &Environment<'_>,
    ) -> io::Result<Vec<OwnedFd>> {
        // One CPU is enough: it runs for all.
        let whom = environment.pid.map_or(perf::Target::cpu(0), perf::Target::thread);
        let (path, found) = located(target)?;
        let mut held = Vec::new();
        for Located { offset, semaphore, number } in found {
            let event = perf::open_usdt(&path, offset, semaphore, whom)?;
            held.push(attach_perf_event(program, event.as_fd(), cookie | number << 32)?);
            held.push(event);
        }
        if held.is_empty() { Err(gone()) } else { Ok(held) }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "there is no such probe any more")
}

/// Where a site is in its file, and where its semaphore; and the number of its operands.
struct Located {
    offset: u64,
    semaphore: Option<u64>,
    number: u64,
}

/// The file of a target, and its sites.
fn located(target: &Target) -> io::Result<(CString, Vec<Located>)> {
    let (file, sites) = sites_of(target).map_err(|_| gone())?;
    let elf = Elf::open(&file).map_err(io::Error::other)?;
    let path = CString::new(file.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let specs = specs(&sites);
    let mut found = Vec::with_capacity(sites.len());
    for site in &sites {
        let offset = elf.file_offset(site.address).ok_or_else(gone)?;
        let semaphore = match site.semaphore {
            Some(address) => Some(elf.data_offset(address).ok_or_else(gone)?),
            None => None,
        };
        let spec = operands(&site.arguments, ARCH);
        let number = specs.iter().position(|known| *known == spec).unwrap_or(0) as u64;
        found.push(Located { offset, semaphore, number });
    }
    Ok((path, found))
}

fn target(file: &Path, site: &Site) -> Target {
    Target { provider: NAME, name: format!("{NAME}:{}:{}:{}", file.display(), site.provider, site.name) }
}

/// A name is one target, however many sites it has.
fn unique(targets: &mut Vec<Target>) {
    let mut seen = rustc_hash::FxHashSet::default();
    targets.retain(|target| seen.insert(target.name.clone()));
}

/// The file and the sites of a target.
fn sites_of(target: &Target) -> Result<(PathBuf, Vec<Site>), AttachError> {
    let point = parse(target.point()).ok_or(AttachError::Form { expected: FORM })?;
    let file = PathBuf::from(point.file);
    let elf = Elf::open(&file).map_err(|error| unusable(&file, &error))?;
    let mut sites = sites(&elf);
    sites.retain(|site| site.provider == point.provider && site.name == point.name);
    Ok((file, sites))
}

/// The different ways in which sites have their arguments, in the order of the sites.
fn specs(sites: &[Site]) -> Vec<Vec<Option<Operand>>> {
    let mut specs = Vec::new();
    for site in sites {
        let spec = operands(&site.arguments, ARCH);
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    specs
}

/// So many arguments a probe can have.
const ARGUMENTS: usize = 12;

/// What an argument is that a site does not have.
const ABSENT: Operand =
    Operand { base: None, index: None, displacement: 0, in_memory: false, shift: 0, size: 8, signed: false };

/// Where the arguments are. One that a site does not have is 0 there, so that one body can serve all probes of a wildcard.
fn places(specs: &[Vec<Option<Operand>>]) -> Vec<Place> {
    let place = |index: usize| {
        let at_site = |spec: &Vec<Option<Operand>>| spec.get(index).copied().unwrap_or(Some(ABSENT));
        let Some(operands) = specs.iter().map(at_site).collect::<Option<Vec<Operand>>>() else {
            return Place::Unreadable;
        };
        match operands[..] {
            [operand] => Place::Operand(operand),
            // As long as the program is compiled and attached: the whole run.
            _ if operands.iter().all(|operand| *operand == ABSENT) => Place::Operand(ABSENT),
            _ => Place::BySite(Vec::leak(operands)),
        }
    };
    (0..ARGUMENTS).map(place).collect()
}

fn unusable(file: &Path, error: &ElfError) -> AttachError {
    AttachError::Unsupported { reason: format!("{}: {error}", file.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_have_two_or_three_parts() {
        let parts = |text| parse(text).map(|point| (point.file, point.provider, point.name));
        assert_eq!(parts("/bin/app:start"), Some(("/bin/app", "*", "start")));
        assert_eq!(parts("libc:setjmp:*"), Some(("libc", "setjmp", "*")));
        assert_eq!(parts("*:gc__*"), Some(("*", "*", "gc__*")));
        assert_eq!(parts("\"/a:b\":p:n"), Some(("/a:b", "p", "n")));
        for text in ["", "app", "app:", ":x", "app::x", "app:p:"] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn sites_with_the_same_arguments_share_a_place() {
        let site = |arguments: &str| Site {
            provider: "p".to_owned(),
            name: "n".to_owned(),
            address: 1,
            semaphore: None,
            arguments: arguments.to_owned(),
        };
        let same = specs(&[site("8@%rax -4@$1"), site("8@%rax -4@$1")]);
        assert!(matches!(
            places(&same)[..],
            [Place::Operand(_), Place::Operand(_), Place::Operand(ABSENT), ..]
        ));
        let others = specs(&[
            site("8@%rax -4@$1 8f@%xmm0"),
            site("8@%rbx -4@$1 8@%rax"),
            site("8@%rax -4@$2 8@%rcx 1@$1"),
        ]);
        let places = places(&others);
        assert!(
            matches!(places[..], [Place::BySite(three), Place::BySite(_), Place::Unreadable, Place::BySite(_), ..] if three.len() == 3)
        );
    }
}
