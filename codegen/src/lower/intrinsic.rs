//! Functions and variables that the compiler computes itself, where the result is a scalar.

use rtscript_lang::provider::ProgramKind;
use rtscript_lang::syntax::source::Span;
use rtscript_lang::typed::{Expr, Intrinsic};
use rtscript_lang::types::{Clock, Type};

use super::Lowering;
use super::memory::{Address, Memory};
use crate::insn::{AluOp, Helper, Size, SwapBits};
use crate::ir::{Callee, Op, Operand, Value};
use crate::target::ReadForm;

impl Lowering<'_, '_> {
    pub(super) fn intrinsic(&mut self, intrinsic: Intrinsic, args: &[Expr], ty: &Type, span: Span) -> Value {
        match intrinsic {
            Intrinsic::Pid => {
                let both = self.pid_tgid();
                self.b.binary(AluOp::Rsh, both, Operand::Imm(32))
            }
            Intrinsic::Tid => {
                let both = self.pid_tgid();
                self.b.extend(both, Size::W, false)
            }
            Intrinsic::Uid => {
                let both = self.uid_gid();
                self.b.extend(both, Size::W, false)
            }
            Intrinsic::Gid => {
                let both = self.uid_gid();
                self.b.binary(AluOp::Rsh, both, Operand::Imm(32))
            }
            Intrinsic::Cpu => self.b.call(Helper::GetSmpProcessorId, &[]),
            Intrinsic::Nsecs(clock) => self.b.call(
                match clock {
                    Clock::Boot => Helper::KtimeGetBootNs,
                    Clock::Monotonic => Helper::KtimeGetNs,
                    Clock::Tai => Helper::KtimeGetTaiNs,
                },
                &[],
            ),
            Intrinsic::Elapsed => {
                let now = self.b.call(Helper::KtimeGetBootNs, &[]);
                let start = self.b.value(Op::GlobalAddr(rtscript_lang::record::globals::START));
                let start = self.b.load(Size::D, false, start, 0);
                self.b.binary(AluOp::Sub, now, Operand::Value(start))
            }
            Intrinsic::Curtask => self.current_task(),
            Intrinsic::Rand => {
                let random = self.b.call(Helper::GetPrandomU32, &[]);
                self.b.extend(random, Size::W, false)
            }
            Intrinsic::Probe => match &self.probe.targets[..] {
                [target] => {
                    let index = self.program.probe_names.iter().position(|name| *name == target.name);
                    self.b.iconst(index.unwrap_or(0) as i64)
                }
                _ if let Some(dispatch) = &self.probe.dispatch => {
                    let entry = self.table_entry(dispatch);
                    self.b.add(entry, Operand::Imm(-1))
                }
                _ => {
                    let context = self.b.context();
                    let cookie = self.b.call(Helper::GetAttachCookie, &[Operand::Value(context)]);
                    // Of a uprobe the upper half may tell the site; of a function that is probed at both ends, its end.
                    match self.probe.context.program {
                        ProgramKind::Kretprobe => self.b.binary(AluOp::Rsh, cookie, Operand::Imm(32)),
                        ProgramKind::Kprobe | ProgramKind::Uprobe => self.b.extend(cookie, Size::W, false),
                        ProgramKind::RawTracepoint
                        | ProgramKind::Tracepoint
                        | ProgramKind::PerfEvent
                        | ProgramKind::Fentry
                        | ProgramKind::Fexit
                        | ProgramKind::Iter => cookie,
                    }
                }
            },
            Intrinsic::Cgroup => self.b.call(Helper::GetCurrentCgroupId, &[]),
            Intrinsic::Jiffies => self.b.call(Helper::Jiffies64, &[]),
            Intrinsic::Numaid => self.b.call(Helper::GetNumaNodeId, &[]),
            Intrinsic::ByteSwap => {
                let value = self.scalar(&args[0]);
                let bits = match self.int_of(ty).size {
                    2 => SwapBits::B16,
                    4 => SwapBits::B32,
                    8 => SwapBits::B64,
                    _ => return value,
                };
                let swapped = self.b.value(Op::ByteSwap(bits, value));
                self.cut(swapped, ty)
            }
            Intrinsic::StrLen => self.text_length(&args[0]),
            Intrinsic::StackLen => self.stack_length(&args[0], span),
            Intrinsic::ProbeAddress => {
                let context = self.b.context();
                self.b.call(Helper::GetFuncIp, &[Operand::Value(context)])
            }
            Intrinsic::Find => self.find_text(&args[0], &args[1]),
            Intrinsic::CompareBytes => self.compare_bytes(&args[0], &args[1]),
            Intrinsic::PidInside => self.number_inside(args, true),
            Intrinsic::TidInside => self.number_inside(args, false),
            Intrinsic::Context => self.b.context(),
            Intrinsic::UserMode => self.user_mode(),
            Intrinsic::Register(offset) => {
                let context = self.b.context();
                self.b.load(Size::D, false, context, offset as i32)
            }
            Intrinsic::Override => {
                let (context, result) = (self.b.context(), self.scalar(&args[0]));
                self.b.call(Helper::OverrideReturn, &[Operand::Value(context), Operand::Value(result)])
            }
            Intrinsic::WriteUser => self.write_user(&args[0], &args[1], span),
            Intrinsic::Signal => self.signal(Helper::SendSignal, &args[0], span),
            Intrinsic::SignalThread => self.signal(Helper::SendSignalThread, &args[0], span),
            Intrinsic::TracePrint => self.trace_print(args),
            Intrinsic::SeqPrint => self.seq_print(args),
            Intrinsic::Foreign(index) => {
                let args: Vec<Operand> = args.iter().map(|arg| Operand::Value(self.argument(arg))).collect();
                let result = self.b.value(Op::Call(Callee::Foreign(index), args));
                self.cut(result, ty)
            }
            // No scalars.
            Intrinsic::Comm
            | Intrinsic::Str
            | Intrinsic::Concat
            | Intrinsic::Buf
            | Intrinsic::Stack
            | Intrinsic::Ntop
            | Intrinsic::NtopFamily
            | Intrinsic::UserSymbol
            | Intrinsic::Mac => self.b.iconst(0),
        }
    }

    pub(super) fn pid_tgid(&mut self) -> Value {
        if let Some(known) = self.known.pid_tgid {
            return known;
        }
        let value = self.b.call(Helper::GetCurrentPidTgid, &[]);
        self.known.pid_tgid = Some(value);
        value
    }

    fn uid_gid(&mut self) -> Value {
        if let Some(known) = self.known.uid_gid {
            return known;
        }
        let value = self.b.call(Helper::GetCurrentUidGid, &[]);
        self.known.uid_gid = Some(value);
        value
    }

    pub(super) fn current_task(&mut self) -> Value {
        if let Some(known) = self.known.current_task {
            return known;
        }
        let task = self.b.call(Helper::GetCurrentTask, &[]);
        self.trust(task);
        self.known.current_task = Some(task);
        task
    }

    /// Where the current task's name lies, if it can be read directly.
    pub(super) fn comm_place(&mut self) -> Option<Address> {
        if self.shared.target.read == ReadForm::Probe {
            return None;
        }
        let (root, index, offset) = self.task_member("comm")?;
        let path = rtscript_lang::typed::FieldPath { steps: vec![(root, index)], offset, bits: None };
        let base = self.current_task();
        Some(self.member(&Address { memory: Memory::Kernel, base, offset: 0, field: None, align: 8 }, &path))
    }
}
