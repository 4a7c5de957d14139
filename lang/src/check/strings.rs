//! Text and bytes: `str`, `buf`, and what compares and measures them.

use rtscript_syntax::ast;
use rtscript_syntax::source::Span;

use super::Checker;
use super::error;
use super::expressions::text;
use super::numbers::{cast, value_of};
use crate::builtins::Builtin;
use crate::typed::{Expr, ExprKind, Intrinsic};
use crate::types::{Clock, Int, Space, Type};

impl Checker<'_> {
    /// `str(pointer[, length])`. Of what is text already, the text itself; of `$1`, the parameter.
    pub(super) fn str(&mut self, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let source = match self.parameter_text(&args[0]) {
            Some(parameter) => Some(text(parameter, args[0].span)),
            None => self.expr(&args[0]),
        };
        let length = args.get(1).map(|length| self.expr(length));
        let source = self.as_text(source?);
        let source = self.memory(source, "str")?;
        let mut capacity = self.bytes_of(&source.ty).unwrap_or(self.config.text_capacity());
        let mut arguments = vec![source];
        if let Some(length) = length {
            let length = self.number(length?, "the length of a string")?;
            if let Some(most) = value_of(&length) {
                self.constant_in(&length, "the length of a string", "a number, at least 0", 0..=i128::MAX)?;
                let with_nul = most.clamp(0, i128::from(u32::MAX - 1)) as u32 + 1;
                capacity = capacity.min(with_nul);
            }
            arguments.push(cast(length, &Type::U64));
        } else if matches!(arguments[0].ty, Type::String(_)) {
            return Some(Expr { span, ..arguments.remove(0) });
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::Str, arguments), ty: Type::String(capacity), span })
    }

    /// The text of a parameter: of `$1`, and of `$1 + 2` what is behind its first two bytes. A number that is written has
    /// one too, and so has the number of parameters.
    fn parameter_text(&self, arg: &ast::Expr) -> Option<Vec<u8>> {
        let (index, skipped) = match &arg.kind {
            ast::ExprKind::PositionalCount => {
                return Some(self.options.positional.len().to_string().into_bytes());
            }
            ast::ExprKind::Int { value, .. } => return Some(value.to_string().into_bytes()),
            ast::ExprKind::Positional(index) => (*index, 0),
            ast::ExprKind::Binary { op: ast::BinaryOp::Add, left, right } => {
                let ast::ExprKind::Positional(index) = left.kind else { return None };
                let ast::ExprKind::Int { value, .. } = right.kind else { return None };
                (index, value)
            }
            _ => return None,
        };
        let text = self.positional(index as usize).unwrap_or("").as_bytes();
        let skipped = usize::try_from(skipped).unwrap_or(text.len()).min(text.len());
        Some(text[skipped..].to_vec())
    }

    /// `buf(pointer[, length])`
    pub(super) fn buf(&mut self, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let (source, length) = (self.expr(&args[0]), args.get(1).map(|length| self.expr(length)));
        let source = self.as_text(source?);
        let source = self.memory(source, "buf")?;
        let own = self.bytes_of(&source.ty);
        let mut capacity = own.unwrap_or(self.config.max_strlen);
        let mut arguments = vec![source];
        if let Some(length) = length {
            let length = self.number(length?, "the length of a buffer")?;
            if let Some(most) = value_of(&length) {
                capacity = capacity.min(most.clamp(0, i128::from(u32::MAX)) as u32);
            }
            arguments.push(cast(length, &Type::U64));
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::Buf, arguments), ty: Type::Buffer(capacity), span })
    }

    /// What `str` and `buf` read from: an address, or an array itself.
    pub(super) fn memory(&mut self, source: Expr, function: &str) -> Option<Expr> {
        match &source.ty {
            Type::Pointer(..) | Type::String(_) => Some(source),
            Type::Array(element, _) if self.structs.size_in_memory(element) == 1 || function == "buf" => {
                Some(source)
            }
            Type::Int(_) => {
                // A plain number does not say whose address it is, and to find out costs nothing here.
                let space = match self.instances[self.walk.instance?].context.space {
                    Space::Kernel | Space::Either => Space::Either,
                    space @ (Space::User | Space::Context) => space,
                };
                let at = cast(source, &Type::U64);
                Some(cast(at, &Type::pointer(Type::Int(Int::I8), space)))
            }
            _ => self.wrong_type(&error::argument_of(function), "an address", &source),
        }
    }

    pub(super) fn strncmp(&mut self, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let (left, right, length) = (self.expr(&args[0]), self.expr(&args[1]), self.expr(&args[2]));
        let (left, right) = (self.as_text(left?), self.as_text(right?));
        for side in [&left, &right] {
            if !matches!(side.ty, Type::String(_)) {
                return self.wrong_type(&error::argument_of("strncmp"), "a string", side);
            }
        }
        let most = i128::from(u32::MAX);
        let length =
            self.constant_in(&length?, "the length of `strncmp`", "a number, at least 0", 0..=most)?;
        let kind = ExprKind::EqualPrefix(Box::new(left), Box::new(right), length as u32);
        Some(Expr { kind, ty: Type::U64, span })
    }

    pub(super) fn strlen(&mut self, row: &'static Builtin, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let value = self.text_argument(row, &args[0])?;
        if let ExprKind::String(bytes) = &value.kind {
            return Some(super::numbers::constant(bytes.len() as u64, Type::U64, span));
        }
        Some(Expr { kind: ExprKind::Call(Intrinsic::StrLen, vec![value]), ty: Type::U64, span })
    }

    /// `strftime(format, nanoseconds)`: the number, with a type that prints it.
    pub(super) fn strftime(&mut self, args: &[ast::Expr], span: Span) -> Option<Expr> {
        let format = self.literal_text(&args[0], "the format of `strftime`");
        let stamp = self.expr(&args[1])?;
        let clock =
            if let ExprKind::Call(Intrinsic::Nsecs(clock), _) = &stamp.kind { *clock } else { Clock::Boot };
        let stamp = self.number(stamp, "a time stamp")?;
        let stamp = cast(stamp, &Type::U64);
        Some(Expr { span, ..cast(stamp, &Type::Timestamp(format?, clock)) })
    }

    /// The address of an array of strings, as `join` takes it.
    pub(super) fn argv(&mut self, arg: &ast::Expr) -> Option<Expr> {
        let value = self.expr(arg)?;
        let space = match &value.ty {
            Type::Pointer(_, space) => *space,
            Type::Int(_) => self.instances[self.walk.instance?].context.space,
            _ => return self.wrong_type(&error::argument_of("join"), "an address", &value),
        };
        let space = if space == Space::Context { Space::Kernel } else { space };
        let text = Type::pointer(Type::Int(Int::I8), space);
        Some(cast(value, &Type::pointer(text, space)))
    }
}
