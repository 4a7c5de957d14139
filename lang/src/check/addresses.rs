//! `&`: where something lies.
//!
//! A variable whose address is taken lies in memory from the start of the body to its end. What the address points at is kernel
//! memory like any other, and is read as such.

use rtscript_syntax::ast::{self, ExprKind as Ast};
use rtscript_syntax::source::Span;

use super::Checker;
use super::error::CFact;
use super::fields::space_of;
use crate::typed::{Expr, ExprKind};
use crate::types::{Space, Type};

impl Checker<'_> {
    /// `&operand`
    pub(super) fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Option<Expr> {
        let place = self.expr(operand)?;
        match &operand.kind {
            Ast::Variable(name) => {
                let local = self.local(name)?;
                let instance = self.walk.instance?;
                self.instances[instance].locals.get_mut(local.as_u32() as usize)?.addressed = true;
                Some(pointer_to(place, Space::Kernel, span))
            }
            Ast::Map { .. } if matches!(place.kind, ExprKind::Map(_)) => {
                Some(pointer_to(place, Space::Kernel, span))
            }
            _ => match self.address_in_memory(place, span) {
                Ok(address) => Some(address),
                Err(place) => {
                    let is_bits = matches!(&place.kind, ExprKind::Field(_, path) if path.bits.is_some());
                    let help = is_bits.then_some("a bit-field is a part of a byte");
                    self.error(CFact::NoAddress { at: place.span, help });
                    None
                }
            },
        }
    }

    /// The address of a place in memory that is not ours; the place itself where it is ours.
    pub(super) fn address_in_memory(&self, place: Expr, span: Span) -> Result<Expr, Expr> {
        let is_bits = matches!(&place.kind, ExprKind::Field(_, path) if path.bits.is_some());
        match space_of(&place) {
            Some(space @ (Space::Kernel | Space::User | Space::Either)) if !is_bits => {
                Ok(pointer_to(place, space, span))
            }
            Some(_) | None => Err(place),
        }
    }
}

fn pointer_to(place: Expr, space: Space, span: Span) -> Expr {
    let ty = Type::pointer(place.ty.clone(), space);
    Expr { kind: ExprKind::AddressOf(Box::new(place)), ty, span }
}
