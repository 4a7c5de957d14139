//! One event out of the ring buffer: which action it is for, and where its fields lie.
//!
//! The layout is `rtscript_lang::record`'s. An event that is too short for it has empty fields.

use rtscript_lang::action::ActionId;
use rtscript_lang::record::{Form, Record, SMALL_STRING};

use super::value::word;

/// The bytes of an event, with its header.
#[derive(Clone, Copy, Debug)]
pub struct Event<'e> {
    bytes: &'e [u8],
    form: Form,
}

impl<'e> Event<'e> {
    /// The event and the action it is for; `None` where these bytes are no event.
    pub fn new(bytes: &'e [u8]) -> Option<(ActionId, Event<'e>)> {
        let action = u32::from_ne_bytes(*bytes.first_chunk()?);
        let form = match u32::from_ne_bytes(*bytes.get(4..)?.first_chunk()?) {
            form if form == Form::Small as u32 => Form::Small,
            form if form == Form::Packed as u32 => Form::Packed,
            _ => return None,
        };
        // The highest number is what an id uses for "none".
        (action != u32::MAX).then(|| (ActionId::from_u32(action), Event { bytes, form }))
    }

    /// The bytes of a field, and perhaps more behind them: each type knows how many are its own.
    pub fn field(&self, record: &Record, index: usize) -> &'e [u8] {
        let Some(field) = record.fields.get(index) else { return &[] };
        if !field.tail {
            return self.bytes.get(field.offset as usize..).unwrap_or_default();
        }
        let before = record.fields[..index].iter().filter(|field| field.tail);
        let (start, length) = match self.form {
            Form::Small => (before.count() * SMALL_STRING as usize, SMALL_STRING as usize),
            Form::Packed => {
                let length = |offset: u32| {
                    let bytes = self.bytes.get(offset as usize..).unwrap_or_default();
                    word(bytes) as u32 as usize
                };
                let start = before.map(|field| length(field.offset)).fold(0, usize::saturating_add);
                (start, length(field.offset))
            }
        };
        let tails = self.bytes.get(record.size as usize..).unwrap_or_default();
        let tail = tails.get(start..).unwrap_or_default();
        &tail[..tail.len().min(length)]
    }
}

#[cfg(test)]
mod tests {
    use rtscript_lang::types::{Structs, Type};

    use super::*;

    fn event(form: Form, words: &[u32], tails: &[u8]) -> Vec<u8> {
        let header = [7, form as u32];
        let mut bytes: Vec<u8> = header.iter().chain(words).flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend_from_slice(tails);
        bytes
    }

    fn record() -> Record {
        Record::event(&[Type::U32, Type::String(1024), Type::String(1024)], &Structs::default())
    }

    #[test]
    fn tails_of_the_small_form() {
        let mut tails = [b'.'; 128];
        tails[..4].copy_from_slice(b"one\0");
        tails[64..68].copy_from_slice(b"two\0");
        let bytes = event(Form::Small, &[5, 0, 0, 0], &tails);
        let (id, event) = Event::new(&bytes).unwrap();
        assert_eq!(id, ActionId::from_u32(7));
        assert_eq!(word(event.field(&record(), 0)) as u32, 5);
        assert_eq!(event.field(&record(), 1), &tails[..64]);
        assert_eq!(event.field(&record(), 2), &tails[64..]);
        assert_eq!(event.field(&record(), 3), b"");
    }

    #[test]
    fn tails_of_the_packed_form() {
        let bytes = event(Form::Packed, &[5, 4, 6, 0], b"one\0three\0...");
        let (_, event) = Event::new(&bytes).unwrap();
        assert_eq!(event.field(&record(), 1), b"one\0");
        assert_eq!(event.field(&record(), 2), b"three\0");
        let bytes = super::tests::event(Form::Packed, &[5, 0, 6, 0], b"three\0");
        let (_, event) = Event::new(&bytes).unwrap();
        assert_eq!(event.field(&record(), 1), b"");
        assert_eq!(event.field(&record(), 2), b"three\0");
    }

    #[test]
    fn what_is_cut_short_has_empty_fields() {
        assert!(Event::new(b"").is_none());
        assert!(Event::new(&[0; 7]).is_none());
        assert!(Event::new(&[0xff; 8]).is_none());
        let bytes = event(Form::Packed, &[5, 4, u32::MAX, 0], b"on");
        let (_, event) = Event::new(&bytes).unwrap();
        assert_eq!(event.field(&record(), 1), b"on");
        assert_eq!(event.field(&record(), 2), b"");
        let (_, event) = Event::new(&bytes[..8]).unwrap();
        for index in 0..3 {
            assert_eq!(event.field(&record(), index), b"");
        }
    }
}
