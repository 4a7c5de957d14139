//! Calls and builtins that have a value.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::error::{self, DidYouMean, Fact, MapFact, TypeFact, Warning};
use super::nearest::nearest;
use super::numbers::{cast, constant};
use super::{Checker, settings};
use crate::builtins::{self, Act, BUILTINS, Builtin, Constant, Means, Value};
use crate::provider::UserAddress;
use crate::typed::{BinaryOp, Expr, ExprKind, Intrinsic, MapId, Stmt, StmtKind};
use crate::types::{Clock, Int, Label, Space, Stack, StackMode, Type};

/// Frames of a stack, where the script does not say how many.
const FRAMES: u32 = 127;

impl Checker<'_> {
    /// `name(args)` where a value is wanted.
    pub(super) fn call(&mut self, name: &ast::Ident, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let Some(row) = builtins::find(&name.name) else {
            if self.unreplaced(&name.name, Some(args.len()), span) {
                return None;
            }
            if let Some(index) = self.options.foreign.iter().position(|known| known.name == name.name) {
                return self.foreign(index, args, span);
            }
            let functions = BUILTINS.iter().filter(|row| row.arity.1 > 0).map(|row| row.name);
            let help = builtins::ours(&name.name).map(|ours| DidYouMean(vec![ours.to_string()]));
            let help = help.or_else(|| nearest(&name.name, functions));
            self.error(Fact::UnknownFunction { name: name.name.clone(), at: name.span, help });
            return None;
        };
        self.builtin(row, args, span)
    }

    /// Reports a wrong number of arguments.
    pub(super) fn arity(&mut self, row: &'static Builtin, args: &[ast::Expr], at: Span) -> Option<()> {
        let (least, most) = row.arity;
        if (least..=most).contains(&args.len()) {
            return Some(());
        }
        let has_parentheses = at.len() as usize > row.name.len();
        if args.is_empty() && !has_parentheses {
            self.error(Fact::NotCalled { name: row.name, signature: row.signature(), at });
        } else {
            let (signature, expected) = (row.signature(), error::arity(row.arity));
            self.error(Fact::Arity { name: row.name, signature, expected, found: args.len(), at });
        }
        None
    }

    pub(super) fn builtin(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        // `expand` leaves no macro behind.
        if matches!(row.means, Means::Later | Means::Library) {
            self.error(Fact::NotYet { what: format!("`{}`", row.name), at: span, help: Some(row.doc) });
            return None;
        }
        self.arity(row, args, span)?;
        if args.is_empty() {
            self.warn_of_reader(row, span);
        }
        match row.means {
            Means::Computed(intrinsic, plain) => {
                if matches!(intrinsic, Intrinsic::Pid | Intrinsic::Tid) {
                    return self.process(intrinsic, args.first(), span);
                }
                if intrinsic == Intrinsic::Comm {
                    // Where the kernel has types, the name is read out of the task itself.
                    let _ = self.task_type();
                }
                Some(Expr { kind: ExprKind::Call(intrinsic, Vec::new()), ty: plain.ty(), span })
            }
            Means::Constant(which) => self.known(which, span),
            Means::Value(value) => self.value(row, value, args, span),
            Means::Action(Act::Fail) => {
                self.fail(args, span)?;
                None
            }
            Means::Action(_) => {
                self.error(Fact::NoValue { name: row.name, at: span });
                None
            }
            Means::Summary(_) => {
                self.error(Fact::Summary { name: row.name, signature: row.signature(), at: span });
                None
            }
            Means::Library | Means::Later => None,
        }
    }

    fn known(&mut self, which: Constant, span: Span) -> Option<Expr> {
        match which {
            Constant::CpuCount => Some(constant(u64::from(self.kernel.cpu_count()), Type::U64, span)),
            Constant::ChildPid => match self.options.child_pid {
                Some(pid) => Some(constant(u64::from(pid), Type::U32, span)),
                None => {
                    self.warn(Warning::NoChild { at: span });
                    Some(constant(0, Type::U32, span))
                }
            },
            Constant::HasChildPid => {
                Some(constant(u64::from(self.options.child_pid.is_some()), Type::Bool, span))
            }
            Constant::PidNamespace => {
                let inode = self.kernel.pid_namespace().map_or(0, |(_, inode)| inode);
                Some(constant(inode, Type::U32, span))
            }
            Constant::ProbeType => {
                let name = self.instances[self.walk.instance?].probe_type;
                Some(super::expressions::text(name.as_bytes().to_vec(), span))
            }
        }
    }

    /// The kernel's `struct task_struct`, with its members.
    fn task_type(&mut self) -> Option<Type> {
        let ty = self.structs.tagged(ast::Tag::Struct, "task_struct", self.kernel).ok()??;
        if let Type::Struct(id) = ty {
            self.structs.complete(id, self.kernel).ok()?;
        }
        Some(ty)
    }

    fn value(&mut self, row: &'static Builtin, value: Value, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let call = |intrinsic, args, ty| Some(Expr { kind: ExprKind::Call(intrinsic, args), ty, span });
        match value {
            Value::Args => self.all_arguments(span),
            Value::Retval => {
                let instance = &self.instances[self.walk.instance?];
                match &instance.context.retval {
                    Some(retval) => Some(Expr { kind: ExprKind::Retval, ty: retval.ty.clone(), span }),
                    None => {
                        let probe = instance.targets[0].name.clone();
                        let help = error::instead_of_retval(instance.context.program);
                        self.error(Fact::NoRetval { probe, at: span, help });
                        None
                    }
                }
            }
            Value::CurrentTask => {
                let found = self.kernel.btf().map(|_| ());
                self.fact(found, span)?;
                let task = self.task_type().unwrap_or(Type::Void);
                call(Intrinsic::Curtask, Vec::new(), Type::pointer(task, Space::Kernel))
            }
            Value::Nsecs => {
                let clock = match args.first() {
                    None => Clock::Boot,
                    Some(argument) => {
                        let name =
                            if let ast::ExprKind::Ident(name) = &argument.kind { name.as_str() } else { "" };
                        let Some(clock) = builtins::clock(name) else {
                            self.error(Fact::BadConstant {
                                what: error::argument_of(row.name),
                                expected: builtins::CLOCKS.to_string(),
                                value: format!("`{name}`"),
                                at: argument.span,
                            });
                            return None;
                        };
                        clock
                    }
                };
                call(Intrinsic::Nsecs(clock), Vec::new(), Type::U64)
            }
            Value::Username => {
                let uid = call(Intrinsic::Uid, Vec::new(), Type::U32)?;
                Some(cast(uid, &Type::Username))
            }
            Value::Str => self.str(args, span),
            Value::Buf => self.buf(args, span),
            Value::StrNCmp => self.strncmp(args, span),
            Value::StrLen => self.strlen(row, args, span),
            Value::Context => self.context(span),
            Value::Function => self.probed_function(row, span),
            Value::UserMode => self.user_mode(span),
            Value::Register => self.cpu_register(row, &args[0], span),
            Value::CgroupId => self.cgroup_id(row, &args[0], span),
            Value::CgroupPath => self.cgroup_path(row, args, span),
            Value::Pton => self.pton(row, &args[0], span),
            Value::PerCpuAddress => self.percpu_address(row, args, span),
            Value::SocketCookie => self.socket_cookie(row, &args[0], span),
            Value::KfuncExist => self.kfunc_exists(row, &args[0], span),
            Value::KfuncAllowed => self.kfunc_allowed(row, &args[0], span),
            Value::SkbOutput => self.packet(row, args, span),
            Value::StrStr => self.strstr(row, args, span),
            Value::StrContains => self.strcontains(row, args, span),
            Value::StrConcat => self.str_concat(row, args, span),
            Value::StrCap => self.strcap(row, args, span),
            Value::MemCmp => self.memcmp(row, args, span),
            Value::ErrorText => self.label(row, Label::Error, &args[0], span),
            Value::SignalName => self.label(row, Label::Signal, &args[0], span),
            Value::SyscallName => self.label(row, Label::Syscall, &args[0], span),
            Value::NetworkShort => self.network_order(row, 2, &args[0], span),
            Value::NetworkLong => self.network_order(row, 4, &args[0], span),
            Value::StrFTime => self.strftime(args, span),
            Value::KernelStack => self.stack(Space::Kernel, args, span),
            Value::UserStack => self.stack(Space::User, args, span),
            Value::KernelSymbol => {
                let address = self.expr(&args[0])?;
                let address = self.address(address, &error::argument_of(row.name))?;
                Some(Expr { span, ..cast(address, &Type::KernelSymbol) })
            }
            Value::UserSymbol => {
                let address = self.expr(&args[0])?;
                let address = self.address(address, &error::argument_of(row.name))?;
                call(Intrinsic::UserSymbol, vec![address], Type::UserSymbol)
            }
            Value::KernelAddress => {
                let name = self.literal_text(&args[0], &error::argument_of(row.name))?;
                let found = self.kernel.symbol_address(&name);
                match self.fact(found, span)? {
                    Some(address) => Some(constant(address, Type::U64, span)),
                    None => {
                        self.error(Fact::UnknownSymbol { name, at: args[0].span });
                        None
                    }
                }
            }
            Value::UserAddress => self.user_address(row, &args[0], span),
            Value::Ntop => self.ntop(row, args, span),
            Value::Mac => {
                let address = self.expr(&args[0])?;
                let six = matches!(&address.ty, Type::String(6) | Type::Array(_, 6))
                    || matches!(&address.ty, Type::Array(element, _) if self.structs.size_in_memory(element) == 1);
                if !six {
                    return self.wrong_type(&error::argument_of(row.name), "an array of six bytes", &address);
                }
                call(Intrinsic::Mac, vec![address], Type::Mac)
            }
            Value::ByteSwap => {
                let number = self.expr(&args[0])?;
                let number = self.number(number, &error::argument_of(row.name))?;
                let Type::Int(int) = number.ty else { return None };
                let ty = Type::Int(Int { signed: false, ..int });
                call(Intrinsic::ByteSwap, vec![cast(number, &ty)], ty)
            }
            Value::HasKey => {
                self.whole_map(&args[0], row)?;
                let element = self.element_by_key(&args[0], &args[1])?;
                Some(Expr { kind: ExprKind::HasKey(element), ty: Type::Bool, span })
            }
            Value::Find => self.find(row, args, span),
            Value::Delete => self.delete(row, args, span),
            Value::Len => self.len(row, &args[0], span),
            Value::Config => Some(self.settings(span)),
            Value::Getopt => self.getopt(args, span),
            Value::Is(question) => self.question(question, &args[0], span),
            Value::KernelPointer => self.in_space(row, &args[0], Space::Kernel, span),
            Value::UserPointer => self.in_space(row, &args[0], Space::User, span),
        }
    }

    /// `args` as one record.
    fn all_arguments(&mut self, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        let args = &instance.context.args;
        if args.is_empty() {
            let probe = instance.targets[0].name.clone();
            self.error(Fact::NoArguments { probe, at: span });
            return None;
        }
        let fields = args.iter().map(|arg| (arg.name.clone(), arg.ty.clone())).collect();
        let parts = (0u32..).zip(args).map(|(index, arg)| Expr {
            kind: ExprKind::Arg(index),
            ty: arg.ty.clone(),
            span,
        });
        Some(Expr { kind: ExprKind::Tuple(parts.collect()), ty: Type::Record(fields), span })
    }

    /// `kstack`, `kstack(3)`, `kstack(perf)`, `kstack(perf, 3)`
    fn stack(&mut self, space: Space, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let mut mode = match (space, self.stack_mode) {
            // The setting is for user stacks too, and those alone have build ids.
            (Space::Kernel | Space::Either | Space::Context, StackMode::BuildId) => StackMode::Symbols,
            (_, mode) => mode,
        };
        let mut rest = args;
        if let Some((first, others)) = args.split_first()
            && let ast::ExprKind::Ident(name) = &first.kind
        {
            mode = match settings::stack_mode(name) {
                Some(StackMode::BuildId) if space == Space::Kernel => None,
                named => named,
            }
            .or_else(|| {
                let modes = if space == Space::User { settings::STACK_MODES } else { settings::KERNEL_MODES };
                self.error(Fact::BadConstant {
                    what: "the mode of a stack".to_string(),
                    expected: modes.to_string(),
                    value: format!("`{name}`"),
                    at: first.span,
                });
                None
            })?;
            rest = others;
        }
        let frames = match rest {
            [] => FRAMES,
            [first, _, ..] => {
                let modes = if space == Space::User { settings::STACK_MODES } else { settings::KERNEL_MODES };
                self.error(Fact::BadConstant {
                    what: "the mode of a stack".to_string(),
                    expected: modes.to_string(),
                    value: "something else".to_string(),
                    at: first.span,
                });
                return None;
            }
            [frames] => {
                let frames = self.expr(frames)?;
                let most = i128::from(FRAMES);
                self.constant_in(&frames, "the number of frames", "a number from 1 to 127", 1..=most)? as u32
            }
        };
        let ty = Type::Stack(Stack { space, frames, mode });
        Some(Expr { kind: ExprKind::Call(Intrinsic::Stack, Vec::new()), ty, span })
    }

    /// `uaddr("symbol")`: a pointer to a number of the symbol's size.
    fn user_address(&mut self, row: &'static Builtin, name: &ast::Expr, span: Span) -> Option<Expr> {
        let at = name.span;
        let name = self.literal_text(name, &error::argument_of(row.name))?;
        let instance = &self.instances[self.walk.instance?];
        let probe = instance.targets[0].name.clone();
        let mut found: Vec<_> =
            instance.targets.iter().map(|target| instance.provider.user_address(target, &name)).collect();
        // Several places of one program see the symbol at several distances.
        found.dedup_by(|a, b| matches!((a, b), (Ok(a), Ok(b)) if a == b));
        let place = match (found.pop(), found.is_empty()) {
            (Some(_), false) => {
                self.not_yet("`uaddr` in a probe with several places", span);
                return None;
            }
            (Some(Ok(Some(place))), true) => place,
            (Some(Ok(None) | Err(_)) | None, true) | (None, false) => {
                self.error(Fact::UnknownUserSymbol { probe, name, at });
                return None;
            }
        };
        let (address, size) = match place {
            UserAddress::Fixed { address, size } => (constant(address, Type::U64, span), size),
            UserAddress::FromProbe { distance, size } => {
                let here = self.probe_address("`uaddr` in a uretprobe", span)?;
                let distance = constant(distance as u64, Type::U64, span);
                let sum = ExprKind::Binary(BinaryOp::Add, Box::new(here), Box::new(distance));
                (Expr { kind: sum, ty: Type::U64, span }, size)
            }
        };
        let size = if matches!(size, 1 | 2 | 4) { size as u8 } else { 8 };
        let number = Type::Int(Int { size, signed: false });
        Some(Expr { span, ..cast(address, &Type::pointer(number, Space::User)) })
    }

    fn ntop(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let parts: Vec<Option<Expr>> = args.iter().map(|arg| self.expr(arg)).collect();
        let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
        let address = parts.pop()?;
        let what = error::argument_of(row.name);
        let is_struct = matches!(address.ty, Type::Struct(_));
        let size = is_struct.then(|| self.structs.size_in_memory(&address.ty));
        let bytes = size.or_else(|| self.bytes_of(&address.ty));
        let address = match (bytes, &address.ty) {
            (Some(4 | 16), _) => address,
            (Some(_), _) => return self.wrong_type(&what, "an address of 4 or 16 bytes", &address),
            (None, Type::Pointer(..)) if !parts.is_empty() => address,
            (None, Type::Pointer(..)) => {
                return self.wrong_type(&what, "an address, or a family and a pointer", &address);
            }
            (None, _) => {
                let number = self.number(address, &what)?;
                cast(number, &Type::U32)
            }
        };
        let (intrinsic, args) = match parts.pop() {
            Some(family) => {
                let family = self.number(family, "the address family")?;
                (Intrinsic::NtopFamily, vec![cast(family, &Type::U64), address])
            }
            None => (Intrinsic::Ntop, vec![address]),
        };
        Some(Expr { kind: ExprKind::Call(intrinsic, args), ty: Type::Inet, span })
    }

    /// `find(@m, key, $v)`
    fn find(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let map = self.whole_map(&args[0], row)?;
        let element = self.element_by_key(&args[0], &args[1]);
        let ast::ExprKind::Variable(name) = &args[2].kind else {
            self.error(MapFact::NotAVariable { signature: row.signature(), at: args[2].span });
            return None;
        };
        let facts = &self.entities.maps[map];
        let value = match self.entities.ty(facts.value) {
            Some(Type::Aggregate(aggregate)) => {
                let name = facts.name.clone();
                Some(self.merged_type(aggregate, &name, args[0].span)?)
            }
            value => value,
        };
        let local = match self.local(name) {
            Some(local) => local,
            None => self.declare(&ast::Ident { name: name.clone(), span: args[2].span }),
        };
        // A value that is no scalar is found as what it is, and then converted to the variable's type.
        let found = self.declare(&ast::Ident { name: String::new(), span: args[2].span });
        let (ty, at) = (value?, args[2].span);
        if ty.is_scalar() {
            let shape = super::shape::Shape::of_type(&ty);
            if !self.flow(self.local_entity(local)?, Some(shape), at) {
                return None;
            }
            return Some(Expr { kind: ExprKind::Find(element?, local), ty: Type::Bool, span });
        }
        self.flow(self.local_entity(found)?, Some(super::shape::Shape::of_type(&ty)), at);
        let value = Expr { kind: ExprKind::Local(found), ty, span: at };
        let value = self.store(self.local_entity(local)?, Some(value), "a variable", at)?;
        let set = Stmt { kind: StmtKind::SetLocal(local, value), span: at };
        let truth = |value| Box::new(constant(value, Type::Bool, span));
        let then = Expr { kind: ExprKind::Block(vec![set], truth(1)), ty: Type::Bool, span };
        let found = Expr { kind: ExprKind::Find(element?, found), ty: Type::Bool, span };
        let kind = ExprKind::Select(Box::new(found), Box::new(then), truth(0));
        Some(Expr { kind, ty: Type::Bool, span })
    }

    /// `delete(@m, key)`, and the old forms `delete(@m[key])` and `delete(@scalar)`.
    fn delete(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let ast::ExprKind::Map { name, key } = &args[0].kind else {
            self.error(MapFact::NotAMap { function: row.name, signature: row.signature(), at: args[0].span });
            return None;
        };
        let element = match (key, args.get(1)) {
            (None, Some(key)) => self.element_by_key(&args[0], key),
            (Some(_), Some(_)) => {
                self.error(MapFact::NotAMap {
                    function: row.name,
                    signature: row.signature(),
                    at: args[0].span,
                });
                None
            }
            (key, None) => {
                let map = self.map(name, args[0].span);
                let keyed = self.entities.maps[map].keyed.is_some();
                if key.is_none() && keyed && !self.quiet {
                    let help = Some("`delete(@map, key)` removes one element, `clear(@map)` all of them");
                    self.error(MapFact::WrongKindOfMap { name: name.clone(), keyed, at: args[0].span, help });
                    return None;
                }
                self.element(name, key.as_deref(), args[0].span)
            }
        };
        let map = self.map(name, args[0].span);
        self.missing_value(map, args[0].span);
        Some(Expr { kind: ExprKind::Delete(element?), ty: Type::Bool, span })
    }

    fn len(&mut self, row: &'static Builtin, of: &ast::Expr, span: Span) -> Option<Expr> {
        if let ast::ExprKind::Map { name, key: None } = &of.kind {
            let map = self.map(name, of.span);
            let facts = &self.entities.maps[map];
            if facts.keyed.is_some() || !matches!(self.entities.ty(facts.value), Some(Type::Stack(_))) {
                return self.map_len(map, of.span, span);
            }
        }
        let value = self.expr(of)?;
        if !matches!(value.ty, Type::Stack(_)) {
            return self.wrong_type(&error::argument_of(row.name), "a map or a stack", &value);
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::StackLen, vec![value]), ty: Type::U64, span })
    }

    /// `len(@m)`: the number of elements.
    fn map_len(&mut self, map: MapId, of: Span, span: Span) -> Option<Expr> {
        self.missing_value(map, of);
        let facts = &self.entities.maps[map];
        if facts.scalar.is_some() && facts.keyed.is_none() && !self.quiet {
            let name = facts.name.clone();
            self.error(MapFact::WrongKindOfMap { name, keyed: false, at: of, help: None });
            return None;
        }
        if !self.kernel.features().for_each {
            self.error(MapFact::OldKernel { what: "`len` of a map", since: "5.13", at: span });
            return None;
        }
        Some(Expr { kind: ExprKind::Len(map), ty: Type::U64, span })
    }

    fn in_space(&mut self, row: &'static Builtin, arg: &ast::Expr, space: Space, span: Span) -> Option<Expr> {
        let value = self.expr(arg)?;
        let to = match &value.ty {
            Type::Pointer(to, _) if space == Space::User => super::fields::seen_in(space, (**to).clone()),
            Type::Pointer(to, _) => (**to).clone(),
            Type::Int(_) => Type::Void,
            _ => return self.wrong_type(&error::argument_of(row.name), "a pointer", &value),
        };
        Some(Expr { span, ..cast(value, &Type::pointer(to, space)) })
    }

    pub(super) fn wrong_type<T>(&mut self, what: &str, expected: &'static str, value: &Expr) -> Option<T> {
        let found = self.type_name(&value.ty);
        self.error(TypeFact::WrongType { what: what.to_string(), expected, found, at: value.span });
        None
    }

    /// An argument that must be a string literal (or a positional parameter).
    pub(super) fn literal_text(&mut self, arg: &ast::Expr, what: &str) -> Option<String> {
        let value = self.expr(arg)?;
        if let ExprKind::String(bytes) = &value.kind {
            return Some(String::from_utf8_lossy(bytes).into_owned());
        }
        // A parameter that has the form of a number is a text too.
        if let (ExprKind::Int(_), ast::ExprKind::Positional(index)) = (&value.kind, &arg.kind) {
            return Some(self.positional(*index as usize).unwrap_or_default().to_owned());
        }
        self.error(Fact::NotConstant { what: what.to_string(), at: arg.span });
        None
    }
}
