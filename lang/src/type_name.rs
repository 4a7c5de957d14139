//! Types as the language writes them, for diagnostics and `--emit types`.

use crate::aggregate::Aggregate;
use crate::types::{Label, Space, Stack, Structs, Type};

impl Structs {
    /// `int32`, `struct task_struct *`, `(uint32,string[16])`.
    pub fn type_name(&self, ty: &Type) -> String {
        match ty {
            Type::Void => "void".to_string(),
            Type::Bool => "bool".to_string(),
            Type::Int(int) => format!("{}int{}", if int.signed { "" } else { "u" }, int.size * 8),
            Type::Enum(id) => match self.enums[*id].name.as_str() {
                "" => "enum".to_string(),
                name => format!("enum {name}"),
            },
            Type::String(capacity) => format!("string[{capacity}]"),
            Type::Buffer(capacity) => format!("buffer[{capacity}]"),
            Type::Pointer(to, Space::User) => format!("{} __user *", self.type_name(to)),
            Type::Pointer(to, Space::Kernel | Space::Either | Space::Context) => {
                format!("{} *", self.type_name(to))
            }
            Type::Struct(id) => {
                let of = &self.structs[*id];
                let tag = if of.union { "union" } else { "struct" };
                if of.name.is_empty() { tag.to_string() } else { format!("{tag} {}", of.name) }
            }
            Type::Array(element, count) => format!("{}[{count}]", self.type_name(element)),
            Type::Tuple(types) => {
                let names: Vec<String> = types.iter().map(|ty| self.type_name(ty)).collect();
                format!("({})", names.join(","))
            }
            Type::Record(fields) => {
                let names: Vec<String> =
                    fields.iter().map(|(name, ty)| format!("{name}={}", self.type_name(ty))).collect();
                format!("({})", names.join(","))
            }
            Type::Stack(Stack { space: Space::User, frames, .. }) => format!("ustack[{frames}]"),
            Type::Stack(Stack { frames, .. }) => format!("kstack[{frames}]"),
            Type::KernelSymbol => "ksym_t".to_string(),
            Type::UserSymbol => "usym_t".to_string(),
            Type::Inet => "inet".to_string(),
            Type::Mac => "macaddr_t".to_string(),
            Type::Timestamp(..) => "timestamp".to_string(),
            Type::Username => "username_t".to_string(),
            Type::Label(Label::Error) => "strerror_t".to_string(),
            Type::Label(Label::Signal) => "signal_name_t".to_string(),
            Type::Label(Label::Syscall) => "syscall_name_t".to_string(),
            Type::Label(Label::Cgroup(_)) => "cgroup_path_t".to_string(),
            Type::Probe => "probe".to_string(),
            // Summaries that differ in these are different types.
            Type::Aggregate(Aggregate::Hist { bits: bits @ 1.. }) => format!("hist_t({bits})"),
            Type::Aggregate(Aggregate::Lhist { min, max, step }) => format!("lhist_t({min},{max},{step})"),
            Type::Aggregate(Aggregate::Tseries { keep, interval, intervals, .. }) => {
                let keep = format!("{keep:?}").to_lowercase();
                format!("tseries_t({interval},{intervals},{keep})")
            }
            Type::Aggregate(aggregate) => format!("{}_t", aggregate.name()),
        }
    }
}
