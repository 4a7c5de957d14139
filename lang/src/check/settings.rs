//! `config = { … }` and the settings of the environment.
//!
//! Keys may have the prefix `BPFTRACE_` and any case. The environment wins. Settings that tune what this
//! implementation does not have are accepted and mean nothing.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::Fact;
use super::nearest::nearest;
use crate::config::{MissingProbes, Unstable};
use crate::types::StackMode;

/// What a setting takes.
#[derive(Clone, Copy)]
enum Setting {
    MaxStrlen,
    MaxMapKeys,
    MaxProbes,
    MaxBpfProgs,
    PerfRbPages,
    PrintMapsOnExit,
    StrTruncTrailer,
    LogSize,
    MissingProbes,
    License,
    StackMode,
    CacheUserSymbols,
    CppDemangle,
    ShowDebugInfo,
    UnstableTseries,
    MaxCatBytes,
    /// It means nothing here.
    Accepted,
}

const SETTINGS: &[(&str, Setting)] = &[
    ("max_strlen", Setting::MaxStrlen),
    ("strlen", Setting::MaxStrlen),
    ("max_map_keys", Setting::MaxMapKeys),
    ("map_keys_max", Setting::MaxMapKeys),
    ("max_probes", Setting::MaxProbes),
    ("max_bpf_progs", Setting::MaxBpfProgs),
    ("perf_rb_pages", Setting::PerfRbPages),
    ("print_maps_on_exit", Setting::PrintMapsOnExit),
    ("str_trunc_trailer", Setting::StrTruncTrailer),
    ("log_size", Setting::LogSize),
    ("missing_probes", Setting::MissingProbes),
    ("license", Setting::License),
    ("stack_mode", Setting::StackMode),
    ("cache_user_symbols", Setting::CacheUserSymbols),
    ("cpp_demangle", Setting::CppDemangle),
    ("lazy_symbolication", Setting::Accepted),
    ("max_cat_bytes", Setting::MaxCatBytes),
    ("cat_bytes_max", Setting::MaxCatBytes),
    ("on_stack_limit", Setting::Accepted),
    ("show_debug_info", Setting::ShowDebugInfo),
    ("use_blazesym", Setting::Accepted),
    ("unstable_tseries", Setting::UnstableTseries),
    ("unstable_dw_ustack", Setting::Accepted),
    ("unstable_typeinfo", Setting::Accepted),
    ("unstable_import_statement", Setting::Accepted),
    ("symbol_source", Setting::Accepted),
    ("max_type_res_iterations", Setting::Accepted),
    ("unstable_addr", Setting::Accepted),
    ("unstable_import", Setting::Accepted),
    ("unstable_macro", Setting::Accepted),
    ("unstable_map_decl", Setting::Accepted),
];

/// The longest string that is supported, in bytes.
const MAX_STRLEN: u64 = 1 << 16;

/// The kernel takes programs under these licences, since helpers for tracing need one of them.
const LICENSES: [&str; 6] =
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"];

impl Checker<'_> {
    pub(super) fn read_settings(&mut self) {
        if let Some(config) = &self.script.config {
            for entry in &config.entries {
                let value = match &entry.value.kind {
                    ast::ExprKind::Int { value, .. } => value.to_string(),
                    ast::ExprKind::Bool(value) => value.to_string(),
                    ast::ExprKind::String(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    ast::ExprKind::Ident(name) => name.clone(),
                    _ => {
                        self.error(Fact::NotConstant {
                            what: format!("the setting `{}`", entry.key.name),
                            at: entry.value.span,
                        });
                        continue;
                    }
                };
                match find(&entry.key.name) {
                    Some(setting) => self.set(&entry.key.name, setting, &value, Some(entry.value.span)),
                    None => self.error(Fact::UnknownSetting {
                        name: entry.key.name.clone(),
                        at: Some(entry.key.span),
                        help: nearest(&plain(&entry.key.name), SETTINGS.iter().map(|(name, _)| *name)),
                    }),
                }
            }
        }
        for (name, value) in &self.options.environment {
            if let Some(setting) = find(name) {
                self.set(name, setting, value, None);
            }
        }
    }

    fn set(&mut self, name: &str, setting: Setting, value: &str, at: Option<Span>) {
        let number = |least: u64, most: u64| value.parse().ok().filter(|n| (least..=most).contains(n));
        let count = || number(1, u64::from(u32::MAX)).map(|n| n as u32);
        let done = match setting {
            Setting::MaxStrlen => number(1, MAX_STRLEN)
                .map(|n| self.config.max_strlen = n as u32)
                .ok_or("a number of bytes from 1 to 65536"),
            Setting::MaxMapKeys => {
                count().map(|n| self.config.max_map_keys = n).ok_or("a number of keys, at least 1")
            }
            Setting::MaxProbes => {
                count().map(|n| self.config.max_probes = n).ok_or("a number of probes, at least 1")
            }
            Setting::MaxBpfProgs => {
                count().map(|n| self.config.max_bpf_progs = n).ok_or("a number of programs, at least 1")
            }
            Setting::PerfRbPages => {
                count().map(|n| self.config.perf_rb_pages = Some(n)).ok_or("a number of pages, at least 1")
            }
            Setting::LogSize => {
                count().map(|n| self.config.log_size = n).ok_or("a number of bytes, at least 1")
            }
            Setting::MaxCatBytes => {
                count().map(|n| self.config.max_cat_bytes = n).ok_or("a number of bytes, at least 1")
            }
            Setting::PrintMapsOnExit => {
                truth(value).map(|print| self.config.print_maps_on_exit = print).ok_or("true or false")
            }
            Setting::UnstableTseries => match value.to_ascii_lowercase().as_str() {
                "error" | "false" | "0" => Some(Unstable::Error),
                "warn" => Some(Unstable::Warn),
                "enable" | "true" | "1" => Some(Unstable::Enable),
                _ => None,
            }
            .map(|unstable| self.config.unstable_tseries = unstable)
            .ok_or("enable, warn or error"),
            Setting::CppDemangle => {
                truth(value).map(|demangle| self.config.demangle = demangle).ok_or("true or false")
            }
            Setting::ShowDebugInfo => {
                truth(value).map(|show| self.config.show_debug_info = show).ok_or("true or false")
            }
            Setting::CacheUserSymbols => match value.to_ascii_uppercase().as_str() {
                "PER_PID" | "PER_PROGRAM" => Some(true),
                "NONE" => Some(false),
                _ => None,
            }
            .map(|cache| self.config.cache_user_symbols = cache)
            .ok_or("PER_PID, PER_PROGRAM or NONE"),
            Setting::StrTruncTrailer => {
                self.config.str_trunc_trailer = value.to_string();
                Ok(())
            }
            Setting::MissingProbes => match value.to_ascii_lowercase().as_str() {
                "error" => Some(MissingProbes::Error),
                "warn" => Some(MissingProbes::Warn),
                "ignore" => Some(MissingProbes::Ignore),
                _ => None,
            }
            .map(|missing| self.config.missing_probes = missing)
            .ok_or("error, warn or ignore"),
            Setting::License => LICENSES
                .iter()
                .find(|known| **known == value)
                .map(|known| self.config.license = known.to_string())
                .ok_or("GPL, or another licence that the kernel counts as GPL"),
            Setting::StackMode => stack_mode(value).map(|mode| self.stack_mode = mode).ok_or(STACK_MODES),
            Setting::Accepted => Ok(()),
        };
        if let Err(expected) = done {
            self.error(Fact::BadSetting { name: name.to_string(), expected, value: value.to_string(), at });
        }
    }
}

/// The modes that `stack_mode` knows.
pub(super) const STACK_MODES: &str = "bpftrace, perf, raw or build_id";

/// Those of kernel stacks.
pub(super) const KERNEL_MODES: &str = "bpftrace, perf or raw";

/// The form in which the frames of a stack are printed.
pub(super) fn stack_mode(name: &str) -> Option<StackMode> {
    match name {
        "bpftrace" => Some(StackMode::Symbols),
        "perf" => Some(StackMode::Perf),
        "raw" => Some(StackMode::Raw),
        "build_id" => Some(StackMode::BuildId),
        _ => None,
    }
}

fn truth(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn find(name: &str) -> Option<Setting> {
    let name = plain(name);
    SETTINGS.iter().find(|(known, _)| *known == name).map(|(_, setting)| *setting)
}

fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("bpftrace_").unwrap_or(&name).to_string()
}
