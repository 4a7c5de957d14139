//! Enumerations of the script: their values, and the type that holds all of them.

use rtscript_syntax::ast;

use crate::check::Checker;
use crate::check::error::{CFact, TypeFact};
use crate::types::{Enum, Int};

impl<'a> Checker<'a> {
    pub(super) fn define_enum(&mut self, def: &'a ast::TypeDef, enumerators: &'a [ast::Enumerator]) {
        let name = def.name.as_ref().map_or("", |name| name.name.as_str());
        let id = self.structs.enums.push(Enum {
            name: name.to_string(),
            int: Int::U32,
            variants: Vec::with_capacity(enumerators.len()),
        });
        let mut next: i128 = 0;
        let mut large = false;
        for one in enumerators {
            let given = one.value.as_ref().map(|value| (self.constant_number(value), value.span));
            match given {
                Some((Some(value), at)) => {
                    if !(i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) {
                        let ty = format!("enum {name}");
                        self.error(TypeFact::OutOfRange { value, ty, at });
                    }
                    next = value;
                }
                Some((None, _)) => {}
                None => {}
            }
            let value = next as i64;
            let known = self.definitions.enumerators.insert(one.name.name.clone(), (id, value));
            if known.is_some() {
                self.error(CFact::EnumeratorTwice { name: one.name.name.clone(), at: one.name.span });
            }
            let of = &mut self.structs.enums[id];
            of.variants.push((one.name.name.clone(), value));
            large |= next > i128::from(i64::MAX);
            of.int = enum_int(of, large, def.attributes.packed);
            next += 1;
        }
        self.definitions.inline_enums.insert(def.span, id);
        if let Some(name) = &def.name {
            self.definitions.enums.insert(&name.name, id);
        }
    }
}

/// The smallest type that gcc gives to an enumeration of these values.
fn enum_int(of: &Enum, large: bool, packed: bool) -> Int {
    if large {
        return Int::U64;
    }
    let values = || of.variants.iter().map(|(_, value)| *value);
    let signed = values().any(|value| value < 0);
    let fits = |size: u8| {
        let bits = 8 * u32::from(size);
        values().all(|value| match signed {
            true => bits == 64 || (-(1i64 << (bits - 1))..1i64 << (bits - 1)).contains(&value),
            false => bits == 64 || value < 1i64 << bits,
        })
    };
    let sizes: &[u8] = if packed { &[1, 2, 4, 8] } else { &[4, 8] };
    let size = sizes.iter().copied().find(|&size| fits(size)).unwrap_or(8);
    Int { size, signed }
}
