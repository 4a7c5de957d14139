//! The kernel's functions, as kprobes and fentry probes name them: `FUNCTION` or `MODULE:FUNCTION`.
//!
//! A function that BTF describes is found there, which costs little; the list of functions that can be traced (44 000
//! lines on 6.18) is read for wildcards and for what BTF does not know.

use std::collections::HashSet;

use rtscript_lang::btf::{Btf, Kind, Type as BtfType, TypeId};
use rtscript_lang::kernel::Kernel;
use rtscript_lang::provider::AttachError;
use rtscript_lang::types::{Structs, Type};

use super::nearest::nearest;
use super::pattern::matches;

/// The kernel itself, the first of all modules.
pub const VMLINUX: &str = "vmlinux";
/// An argument with this BTF id stands for the `...` of a function.
const VARIADIC: TypeId = TypeId(0);

/// A function by the name of its module and its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    pub module: String,
    pub name: String,
}

/// A parameter as BTF has it.
pub struct Param {
    pub name: String,
    pub id: TypeId,
}

/// `MODULE:FUNCTION` or `FUNCTION`, each of which may be a pattern.
pub fn split(point: &str) -> Option<(Option<&str>, &str)> {
    let (module, function) = match point.split_once(':') {
        Some((module, function)) => (Some(module), function),
        None => (None, point),
    };
    let is_name = |text: &str| !text.is_empty() && !text.contains([':', '+', ' ', '/']);
    (is_name(function) && module.is_none_or(is_name)).then_some((module, function))
}

/// The functions that can be traced and match, in the kernel's order.
pub fn matching(
    module: Option<&str>,
    function: &str,
    kernel: &dyn Kernel,
) -> Result<Vec<Function>, AttachError> {
    let all = kernel.traceable_functions()?;
    let mut seen = HashSet::new();
    let found = all
        .iter()
        .filter(|(of, name)| module.is_none_or(|module| matches(module, of)) && matches(function, name));
    let found = found.filter(|function| seen.insert(*function));
    Ok(found.map(|(module, name)| Function { module: module.clone(), name: name.clone() }).collect())
}

/// The function with this name: the kernel's own before those of modules.
pub fn find(module: Option<&str>, name: &str, kernel: &dyn Kernel) -> Result<Function, AttachError> {
    if let Some((position, _)) = described(module, name, kernel) {
        let module = kernel.modules()?.get(usize::from(position)).map_or(VMLINUX, String::as_str);
        return Ok(Function { module: module.to_owned(), name: name.to_owned() });
    }
    let unknown = |all: &[(String, String)]| AttachError::Unknown {
        what: "kernel function".to_owned(),
        name: match module {
            Some(module) => format!("{module}:{name}"),
            None => name.to_owned(),
        },
        // Comparing all of them takes long, and few people mistake the first letter.
        nearest: nearest(
            name,
            all.iter().map(|(_, other)| other.as_str()).filter(|other| other.get(..1) == name.get(..1)),
        ),
    };
    match kernel.traceable_functions() {
        Ok(all) => {
            let same = |(of, function): &&(String, String)| {
                function == name && module.is_none_or(|module| module == of)
            };
            match all.iter().find(same) {
                Some((module, name)) => Ok(Function { module: module.clone(), name: name.clone() }),
                // What the function tracer cannot trace may still be a function.
                None if module.is_none_or(|module| module == VMLINUX)
                    && kernel.symbol_address(name).is_ok_and(|address| address.is_some()) =>
                {
                    Ok(Function { module: VMLINUX.to_owned(), name: name.to_owned() })
                }
                None => Err(unknown(all)),
            }
        }
        Err(error) => match kernel.symbol_address(name) {
            Ok(Some(_)) => Ok(Function { module: VMLINUX.to_owned(), name: name.to_owned() }),
            Ok(None) => Err(unknown(&[])),
            Err(_) => Err(error.into()),
        },
    }
}

/// Where BTF describes a function: the position of its module, and the function's id there.
pub fn described(module: Option<&str>, name: &str, kernel: &dyn Kernel) -> Option<(u16, TypeId)> {
    let vmlinux = kernel.btf().ok()?;
    if matches!(module, None | Some(VMLINUX))
        && let Some(id) = vmlinux.find(name, Kind::Func)
    {
        return Some((0, id));
    }
    for (position, found) in (0..).zip(kernel.modules().ok()?).skip(1) {
        if module.is_none_or(|module| module == found) {
            let id = kernel.module_btf(position).ok().and_then(|btf| btf.find(name, Kind::Func));
            // A module finds the kernel's own too.
            if let Some(id) = id.filter(|id| id.0 as usize >= vmlinux.len()) {
                return Some((position, id));
            }
        }
    }
    None
}

/// A function's parameters and its return type; `None` if it takes a variable number of them.
pub fn signature(btf: &Btf, function: TypeId) -> Option<(Vec<Param>, TypeId)> {
    let BtfType::Func(function) = btf.ty(function) else { return None };
    let BtfType::FuncProto(proto) = btf.ty(function.proto) else { return None };
    let mut params = Vec::new();
    for (index, param) in proto.params().enumerate() {
        if param.ty == VARIADIC {
            return None;
        }
        let name = if param.name.is_empty() { format!("arg{index}") } else { param.name.to_owned() };
        params.push(Param { name, id: param.ty });
    }
    Some((params, proto.result))
}

/// The type of a parameter or a returned value, if it is one that fits a register.
pub fn scalar(btf: &Btf, module: u16, id: TypeId, structs: &mut Structs) -> Option<Type> {
    Some(structs.of_btf(btf, module, id)).filter(|ty| ty.is_scalar())
}

/// Declarations of the parameters, one each, as C has them.
pub fn declarations(btf: &Btf, params: &[Param]) -> Vec<String> {
    params.iter().map(|param| btf.declare(param.id, &param.name)).collect()
}
