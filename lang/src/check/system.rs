//! What the machine, or the place where a program runs, has to say: cgroups, contexts, namespaces, kfuncs, per-CPU
//! addresses, sockets and packets.

use std::net::{Ipv4Addr, Ipv6Addr};

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::{self, MapFact, PlaceFact};
use super::nearest::nearest;
use super::numbers::{cast, constant, value_of};
use crate::action::Action;
use crate::btf;
use crate::builtins::Builtin;
use crate::provider::{Phase, ProgramKind};
use crate::record::Record;
use crate::registers;
use crate::typed::{BinaryOp, CompareOp, Expr, ExprKind, Intrinsic, Stmt, StmtKind};
use crate::types::{Int, Label, Space, Type};

/// The most bytes of a packet that are kept where the script does not say a number.
const PACKET: u32 = 2048;
/// The most that it may say.
const MOST_OF_A_PACKET: u32 = 32768;

impl Checker<'_> {
    /// `pid(init)`, `pid(curr_ns)` and the same of `tid`. Without an argument it is the namespace of this process.
    pub(super) fn process(
        &mut self,
        intrinsic: Intrinsic,
        namespace: Option<&ast::Expr>,
        span: Span,
    ) -> Option<Expr> {
        let own = match namespace.map(|namespace| (&namespace.kind, namespace.span)) {
            None => true,
            Some((ast::ExprKind::Ident(name), _)) if name == "curr_ns" => true,
            Some((ast::ExprKind::Ident(name), _)) if name == "init" => false,
            Some((kind, at)) => {
                let name = if let ast::ExprKind::Ident(name) = kind { name.as_str() } else { "" };
                self.error(PlaceFact::UnknownNamespace { at, help: nearest(name, ["init", "curr_ns"]) });
                return None;
            }
        };
        let call =
            |intrinsic, args| Some(Expr { kind: ExprKind::Call(intrinsic, args), ty: Type::U32, span });
        match (self.kernel.pid_namespace(), intrinsic) {
            (Some((device, inode)), Intrinsic::Pid | Intrinsic::Tid) if own => {
                let inside =
                    if intrinsic == Intrinsic::Pid { Intrinsic::PidInside } else { Intrinsic::TidInside };
                let number = |value| constant(value, Type::U64, span);
                call(inside, vec![number(device), number(inode)])
            }
            _ => call(intrinsic, Vec::new()),
        }
    }

    /// `ctx`: the address of what the kernel hands to the program.
    pub(super) fn context(&mut self, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        if instance.provider.phase() != Phase::Attached {
            let reason = "the kernel hands nothing to a probe that rtscript runs itself";
            self.error(PlaceFact::NotHere { name: "ctx", reason, at: span, help: None });
            return None;
        }
        let own = instance.provider.context_struct(&instance.targets[0]);
        let of = match instance.context.program {
            ProgramKind::PerfEvent => Some("bpf_perf_event_data"),
            ProgramKind::RawTracepoint => Some("bpf_raw_tracepoint_args"),
            ProgramKind::Uprobe | ProgramKind::Kprobe | ProgramKind::Kretprobe => Some("pt_regs"),
            ProgramKind::Iter => own.as_deref(),
            ProgramKind::Tracepoint | ProgramKind::Fentry | ProgramKind::Fexit => None,
        };
        let ty = of.and_then(|of| self.structs.tagged(ast::Tag::Struct, of, self.kernel).ok()?);
        let ty = Type::pointer(ty.unwrap_or(Type::Void), Space::Context);
        Some(Expr { kind: ExprKind::Call(Intrinsic::Context, Vec::new()), ty, span })
    }

    /// Where the function begins that is probed, or the place within it; `what` needs it.
    pub(super) fn probe_address(&mut self, what: &'static str, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        let features = self.kernel.features();
        let in_process = instance.context.program == ProgramKind::Uprobe;
        // Where nothing has returned, a register has it.
        let register = registers::offset("pc", registers::ARCH);
        let register = register.filter(|_| in_process && !instance.provider.is_at_return());
        let kind = register.map_or(Intrinsic::ProbeAddress, Intrinsic::Register);
        let since = match in_process {
            _ if register.is_some() => None,
            true => (!features.uretprobe_func_ip).then_some("6.6"),
            false => (!features.func_ip).then_some("5.15"),
        };
        if let Some(since) = since {
            self.error(MapFact::OldKernel { what, since, at: span });
            return None;
        }
        Some(Expr { kind: ExprKind::Call(kind, Vec::new()), ty: Type::U64, span })
    }

    /// `func`: the function that is probed, also where it returns.
    pub(super) fn probed_function(&mut self, row: &'static Builtin, span: Span) -> Option<Expr> {
        match self.instances[self.walk.instance?].context.program {
            ProgramKind::Kprobe | ProgramKind::Kretprobe | ProgramKind::Fentry | ProgramKind::Fexit => {
                Some(cast(self.probe_address("`func`", span)?, &Type::KernelSymbol))
            }
            ProgramKind::Uprobe => {
                let address = self.probe_address("`func` in a uretprobe", span)?;
                let kind = ExprKind::Call(Intrinsic::UserSymbol, vec![address]);
                Some(Expr { kind, ty: Type::UserSymbol, span })
            }
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::Iter => self.not_here(row, "only probes of functions have one", span),
        }
    }

    /// Whether a place is a part of the context.
    pub(super) fn in_context(expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Field(base, _) | ExprKind::Index(base, _) => Self::in_context(base),
            ExprKind::Deref(pointer) => matches!(pointer.ty, Type::Pointer(_, Space::Context)),
            _ => false,
        }
    }

    /// `usermode`: 1 where the CPU was in user mode when the event came. A sample looks; of other probes it is known.
    pub(super) fn user_mode(&mut self, span: Span) -> Option<Expr> {
        let instance = &self.instances[self.walk.instance?];
        let ty = Type::Int(Int { size: 1, signed: false });
        let of_the_tracer = match instance.provider.phase() {
            Phase::Attached => false,
            Phase::Begin | Phase::Signal | Phase::End | Phase::Test | Phase::Bench => true,
        };
        match instance.context.program {
            ProgramKind::PerfEvent | ProgramKind::Uprobe => {
                Some(Expr { kind: ExprKind::Call(Intrinsic::UserMode, Vec::new()), ty, span })
            }
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::Kprobe
            | ProgramKind::Kretprobe
            | ProgramKind::Fentry
            | ProgramKind::Fexit
            | ProgramKind::Iter => Some(constant(u64::from(of_the_tracer), ty, span)),
        }
    }

    /// `reg("name")`
    pub(super) fn cpu_register(
        &mut self,
        row: &'static Builtin,
        name: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let text = self.literal_text(name, &error::argument_of(row.name))?;
        let has_registers = match self.instances[self.walk.instance?].context.program {
            ProgramKind::Kprobe | ProgramKind::Kretprobe | ProgramKind::Uprobe | ProgramKind::PerfEvent => {
                true
            }
            ProgramKind::RawTracepoint
            | ProgramKind::Tracepoint
            | ProgramKind::Fentry
            | ProgramKind::Fexit
            | ProgramKind::Iter => false,
        };
        if !has_registers {
            return self.not_here(row, "only samples and probes of functions know the registers", span);
        }
        let Some(offset) = registers::offset(&text, registers::ARCH) else {
            let names = registers::names(registers::ARCH);
            self.error(PlaceFact::UnknownRegister { name: text, names, at: name.span });
            return None;
        };
        let kind = ExprKind::Call(Intrinsic::Register(offset), Vec::new());
        Some(Expr { kind, ty: Type::U64, span })
    }

    /// `override(number)`
    pub(super) fn override_result(
        &mut self,
        row: &'static Builtin,
        result: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let result = self.expr(result)?;
        let result = cast(self.number(result, &error::argument_of(row.name))?, &Type::U64);
        let instance = &self.instances[self.walk.instance?];
        let at_beginning = !instance.targets.iter().any(|target| target.point().contains('+'));
        if instance.context.program != ProgramKind::Kprobe || !at_beginning {
            return self.not_here(row, "only a kprobe at the beginning of a function can do it", span);
        }
        if !self.kernel.allows_override() {
            let reason = "this kernel was built without it (CONFIG_BPF_KPROBE_OVERRIDE)";
            return self.not_here(row, reason, span);
        }
        let kind = ExprKind::Call(Intrinsic::Override, vec![result]);
        Some(StmtKind::Expr(Expr { kind, ty: Type::I64, span }))
    }

    /// `cgroupid("/sys/fs/cgroup/…")`
    pub(super) fn cgroup_id(&mut self, row: &'static Builtin, path: &ast::Expr, span: Span) -> Option<Expr> {
        let text = self.literal_text(path, &error::argument_of(row.name))?;
        match self.kernel.cgroup_id(&text) {
            Some(id) => Some(constant(id, Type::U64, span)),
            None => {
                self.error(PlaceFact::UnknownCgroup { path: text, at: path.span });
                None
            }
        }
    }

    /// `cgroup_path(id[, pattern])`: the id, with a type that prints its path.
    pub(super) fn cgroup_path(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Expr> {
        let pattern = match args.get(1) {
            Some(pattern) => self.literal_text(pattern, "the pattern of `cgroup_path`"),
            None => Some("*".to_string()),
        };
        self.label(row, Label::Cgroup(pattern?), &args[0], span)
    }

    /// `pton("address")`: its bytes in network order.
    pub(super) fn pton(&mut self, row: &'static Builtin, address: &ast::Expr, span: Span) -> Option<Expr> {
        let text = self.literal_text(address, &error::argument_of(row.name))?;
        let bytes = match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
            (Ok(address), _) => address.octets().to_vec(),
            (_, Ok(address)) => address.octets().to_vec(),
            (Err(_), Err(_)) => {
                self.error(PlaceFact::BadAddress { text, at: address.span });
                return None;
            }
        };
        let ty = Type::Array(Box::new(Type::Int(Int::U8)), bytes.len() as u32);
        Some(Expr { kind: ExprKind::String(bytes), ty, span })
    }

    /// `percpu_kaddr("symbol"[, cpu])`: the symbol's offset behind where the CPU's variables begin.
    pub(super) fn percpu_address(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<Expr> {
        let symbol = self.literal_text(&args[0], &error::argument_of(row.name));
        let cpu = args.get(1).map(|cpu| self.expr(cpu));
        let symbol = self.kernel_symbol(&symbol?, args[0].span)?;
        let starts = self.kernel_symbol("__per_cpu_offset", span)?;
        let address = |cpu: Expr| {
            let distance = binary(BinaryOp::Mul, cpu, constant(8, Type::U64, span));
            let at = binary(BinaryOp::Add, constant(starts, Type::U64, span), distance);
            let at = cast(at, &Type::pointer(Type::U64, Space::Kernel));
            let start = Expr { kind: ExprKind::Deref(Box::new(at)), ty: Type::U64, span };
            binary(BinaryOp::Add, start, constant(symbol, Type::U64, span))
        };
        let Some(cpu) = cpu else {
            let cpu = Expr { kind: ExprKind::Call(Intrinsic::Cpu, Vec::new()), ty: Type::U32, span };
            return Some(address(cast(cpu, &Type::U64)));
        };
        let cpu = self.number(cpu?, "the CPU")?;
        let count = u64::from(self.kernel.cpu_count());
        self.held(cast(cpu, &Type::U64), |_, cpu| {
            let exists = compare(CompareOp::Lt, cpu.clone(), constant(count, Type::U64, span));
            let none = constant(0, Type::U64, span);
            let kind = ExprKind::Select(Box::new(exists), Box::new(address(cpu)), Box::new(none));
            Some(Expr { kind, ty: Type::U64, span })
        })
    }

    /// `socket_cookie(sk)`: the number that the kernel gave the socket; 0 before anything asked it for one.
    pub(super) fn socket_cookie(
        &mut self,
        row: &'static Builtin,
        socket: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let socket = self.expr(socket)?;
        let what = error::argument_of(row.name);
        if !self.points_at(&socket, "sock") {
            return self.wrong_type(&what, "a `struct sock *`", &socket);
        }
        let mut place = socket;
        for member in ["__sk_common", "skc_cookie", "counter"] {
            place = self.member(place, &name(member, span), span)?;
        }
        Some(cast(place, &Type::U64))
    }

    /// `kfunc_exist("name")`
    pub(super) fn kfunc_exists(
        &mut self,
        row: &'static Builtin,
        arg: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let text = self.literal_text(arg, &error::argument_of(row.name))?;
        let found = self.kernel.btf().map(|btf| is_kfunc(btf, &text));
        let exists = self.fact(found, span)?;
        Some(constant(u64::from(exists), Type::Bool, span))
    }

    /// `kfunc_allowed("name")`: whether a program of this probe's type may call it.
    pub(super) fn kfunc_allowed(
        &mut self,
        row: &'static Builtin,
        arg: &ast::Expr,
        span: Span,
    ) -> Option<Expr> {
        let text = self.literal_text(arg, &error::argument_of(row.name))?;
        let program = self.instances[self.walk.instance?].context.program;
        let found = self.kernel.btf().map(|btf| is_kfunc(btf, &text));
        let allowed = self.fact(found, span)? && self.kernel.allows_kfunc(&text, program);
        Some(constant(u64::from(allowed), Type::Bool, span))
    }

    /// `write_user(to, from, length)`
    pub(super) fn write_user(
        &mut self,
        row: &'static Builtin,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        let (to, length) = (self.expr(&args[0]), args.get(2).map(|length| self.expr(length)));
        let from = self.buf(&args[1..], span);
        let _ = length?;
        let to = self.address(to?, &error::argument_of(row.name))?;
        let from = from?;
        if !self.kernel.allows_write_user() {
            return self.not_here(row, "this kernel lets no program write the memory of processes", span);
        }
        let kind = ExprKind::Call(Intrinsic::WriteUser, vec![to, from]);
        Some(StmtKind::Expr(Expr { kind, ty: Type::I64, span }))
    }

    /// `skboutput("file.pcap", skb, length, offset)`: sends what lies in the packet's linear part.
    pub(super) fn packet(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let path = self.literal_text(&args[0], "the file of `skboutput`");
        let (packet, length, offset) = (self.expr(&args[1]), self.expr(&args[2]), self.expr(&args[3]));
        let (path, packet, length, offset) = (path?, packet?, length?, offset?);
        if !self.points_at(&packet, "sk_buff") {
            return self.wrong_type(&error::argument_of(row.name), "a `struct sk_buff *`", &packet);
        }
        let length = self.number(length, "the length of a packet")?;
        let offset = cast(self.number(offset, "the offset in a packet")?, &Type::U64);
        let room = match value_of(&length) {
            Some(length) => length.clamp(1, i128::from(MOST_OF_A_PACKET)) as u32,
            None => PACKET,
        };
        let length = cast(length, &Type::U64);
        let sent = self.held(packet, |this, packet| {
            let field = |this: &mut Self, field| {
                let member = this.member(packet.clone(), &name(field, span), span)?;
                Some(cast(member, &Type::U64))
            };
            let (data, all, paged) = (field(this, "data")?, field(this, "len")?, field(this, "data_len")?);
            let linear = binary(BinaryOp::Sub, all.clone(), paged);
            this.held(offset, |this, offset| {
                let inside = compare(CompareOp::Lt, offset.clone(), linear.clone());
                let left = select(inside, binary(BinaryOp::Sub, linear, offset.clone()), span);
                let from = binary(BinaryOp::Add, data, offset);
                let from = cast(from, &Type::pointer(Type::Int(Int::I8), Space::Kernel));
                this.held(left, |this, left| {
                    this.held(length, |this, length| {
                        let fits = compare(CompareOp::Lt, length.clone(), left.clone());
                        let kind = ExprKind::Select(Box::new(fits), Box::new(length), Box::new(left));
                        let length = Expr { kind, ty: Type::U64, span };
                        let kind = ExprKind::Call(Intrinsic::Buf, vec![from, length]);
                        let bytes = Expr { kind, ty: Type::Buffer(room), span };
                        let clock = Intrinsic::Nsecs(crate::types::Clock::Boot);
                        let kind = ExprKind::Call(clock, Vec::new());
                        let now = Expr { kind, ty: Type::U64, span };
                        let values = vec![now, all, bytes];
                        let types: Vec<Type> = values.iter().map(|value| value.ty.clone()).collect();
                        let args = Record::event(&types, &this.structs);
                        let action = this.action(Action::Packet { path, args });
                        let emit = Stmt { kind: StmtKind::Emit(action, values), span };
                        let done = constant(0, Type::U32, span);
                        Some(super::blocks::in_block(vec![emit], done, span))
                    })
                })
            })
        })?;
        Some(sent)
    }

    pub(super) fn not_here<T>(&mut self, row: &'static Builtin, reason: &'static str, at: Span) -> Option<T> {
        self.error(PlaceFact::NotHere { name: row.name, reason, at, help: None });
        None
    }

    fn kernel_symbol(&mut self, symbol: &str, at: Span) -> Option<u64> {
        let found = self.kernel.symbol_address(symbol);
        let address = self.fact(found, at)?;
        if address.is_none() {
            self.error(super::Fact::UnknownSymbol { name: symbol.to_string(), at });
        }
        address
    }

    fn points_at(&self, value: &Expr, of: &str) -> bool {
        let Type::Pointer(to, _) = &value.ty else { return false };
        matches!(**to, Type::Struct(id) if self.structs.structs[id].name == of)
    }
}

fn is_kfunc(btf: &btf::Btf, name: &str) -> bool {
    let Some(function) = btf.find(name, btf::Kind::Func) else { return false };
    btf.of_kind(btf::Kind::DeclTag).any(|(id, tag)| {
        tag == "bpf_kfunc"
            && matches!(btf.ty(id), btf::Type::DeclTag(tag) if tag.target == function && tag.component == -1)
    })
}

fn name(name: &str, span: Span) -> ast::Ident {
    ast::Ident { name: name.to_string(), span }
}

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    let span = left.span;
    Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), ty: Type::U64, span }
}

fn compare(op: CompareOp, left: Expr, right: Expr) -> Expr {
    let span = left.span;
    Expr { kind: ExprKind::Compare(op, Box::new(left), Box::new(right)), ty: Type::Bool, span }
}

/// The value, or 0 where the condition does not hold.
fn select(condition: Expr, value: Expr, span: Span) -> Expr {
    let none = constant(0, Type::U64, span);
    let kind = ExprKind::Select(Box::new(condition), Box::new(value), Box::new(none));
    Expr { kind, ty: Type::U64, span }
}
