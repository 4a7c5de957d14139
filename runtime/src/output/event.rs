//! The bytes of an event, taken apart by its record.
//!
//! Bytes that are missing, of an event that is shorter than its record, read as nothing.

use rtscript_lang::action::ActionId;
use rtscript_lang::record::{EVENT_HEADER, Form, Record, SMALL_STRING};

/// An event whose header was read.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub action: ActionId,
    form: Form,
    bytes: &'a [u8],
}

impl<'a> Event<'a> {
    /// `None` where the bytes are no event.
    pub fn new(bytes: &'a [u8]) -> Option<Event<'a>> {
        let action = ActionId::from_u32(word(bytes, 0)?);
        let form = match word(bytes, 4)? {
            form if form == Form::Small as u32 => Form::Small,
            form if form == Form::Packed as u32 => Form::Packed,
            _ => return None,
        };
        Some(Event { action, form, bytes })
    }

    /// The bytes of a field; of a tail, those of its text, with its NUL or without.
    pub fn field(&self, record: &Record, index: usize) -> &'a [u8] {
        let Some(field) = record.fields.get(index) else { return &[] };
        if !field.tail {
            return self.bytes.get(field.offset as usize..).unwrap_or_default();
        }
        let before = record.fields[..index].iter().filter(|field| field.tail);
        match self.form {
            Form::Small => {
                let start = record.size as usize + before.count() * SMALL_STRING as usize;
                let text = self.bytes.get(start..).unwrap_or_default();
                &text[..text.len().min(SMALL_STRING as usize)]
            }
            Form::Packed => {
                let length = |offset| word(self.bytes, offset as usize).unwrap_or(0) as usize;
                let start =
                    before.fold(record.size as usize, |at, field| at.saturating_add(length(field.offset)));
                let text = self.bytes.get(start..).unwrap_or_default();
                &text[..text.len().min(length(field.offset))]
            }
        }
    }

    /// How long the text of a tail is, the NUL included; `None` in the small form.
    pub fn packed_length(&self, record: &Record, index: usize) -> Option<u32> {
        match self.form {
            Form::Small => None,
            Form::Packed => word(self.bytes, record.fields.get(index)?.offset as usize),
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const _: () = assert!(EVENT_HEADER == 8, "an event begins with its action and its form");

#[cfg(test)]
mod tests {
    use rtscript_lang::types::{Structs, Type};

    use super::*;

    fn record() -> Record {
        Record::event(&[Type::U32, Type::String(1024), Type::U64, Type::String(1024)], &Structs::default())
    }

    fn event(form: Form, lengths: [u32; 2], rest: &[u8]) -> Vec<u8> {
        let record = record();
        let mut bytes = vec![0; record.size as usize];
        bytes[0] = 7;
        bytes[4] = form as u8;
        bytes[record.fields[0].offset as usize] = 42;
        for (field, length) in record.tails().zip(lengths) {
            let at = field.offset as usize;
            bytes[at..at + 4].copy_from_slice(&length.to_ne_bytes());
        }
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn small_tails_have_their_places() {
        let mut rest = [0; 128];
        rest[..3].copy_from_slice(b"one");
        rest[64..67].copy_from_slice(b"two");
        let (record, bytes) = (record(), event(Form::Small, [99, 99], &rest));
        let event = Event::new(&bytes).unwrap();
        assert_eq!(event.action.as_u32(), 7);
        assert_eq!(event.field(&record, 0)[0], 42);
        assert!(event.field(&record, 1).starts_with(b"one\0"));
        assert!(event.field(&record, 3).starts_with(b"two\0"));
        assert_eq!(event.field(&record, 3).len(), 64);
        assert_eq!(event.field(&record, 4), b"");
    }

    #[test]
    fn packed_tails_follow_each_other() {
        let (record, bytes) = (record(), event(Form::Packed, [4, 6], b"one\0three\0"));
        let event = Event::new(&bytes).unwrap();
        assert_eq!(event.field(&record, 1), b"one\0");
        assert_eq!(event.field(&record, 3), b"three\0");
        assert_eq!(event.packed_length(&record, 3), Some(6));
    }

    #[test]
    fn broken_events_have_less() {
        assert!(Event::new(&[0; 7]).is_none());
        assert!(Event::new(&[9; 16]).is_none());
        let record = record();
        let bytes = event(Form::Packed, [u32::MAX, u32::MAX], b"abc");
        let whole = Event::new(&bytes).unwrap();
        assert_eq!(whole.field(&record, 1), b"abc");
        assert_eq!(whole.field(&record, 3), b"");
        for length in 8..bytes.len() {
            let event = Event::new(&bytes[..length]).unwrap();
            for index in 0..4 {
                event.field(&record, index);
            }
        }
    }
}
