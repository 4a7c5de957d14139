//! The notes in which a program or library tells where its probes are: section `.note.stapsdt`.
//!
//! ```text
//! u32 length of the owner's name, u32 length of the description, u32 type
//! "stapsdt\0", padded to 4 bytes
//! u64 address of the probe, u64 address of `.stapsdt.base` when that was written, u64 address of the semaphore or 0
//! provider "\0" name "\0" arguments "\0", padded to 4 bytes
//! ```
//!
//! A linker or prelinker that moves the file moves `.stapsdt.base` as well, and not what is written in notes: so all addresses are
//! moved by as much. Notes are untrusted: one that makes no sense ends the list.

use crate::elf::Elf;

/// A place in the code where a probe is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub provider: String,
    pub name: String,
    pub address: u64,
    /// The address of a counter of those who listen, which the program may ask before it computes arguments.
    pub semaphore: Option<u64>,
    /// The arguments as the assembler was told them, separated by blanks.
    pub arguments: String,
}

const OWNER: &[u8] = b"stapsdt\0";
const PROBE: u32 = 3;

/// All sites of a file, in its order.
pub fn sites(elf: &Elf) -> Vec<Site> {
    let Some(section) = elf.section(".note.stapsdt") else { return Vec::new() };
    parse(&section, elf.section_address(".stapsdt.base"))
}

fn parse(mut notes: &[u8], base: Option<u64>) -> Vec<Site> {
    let mut sites = Vec::new();
    while let Some((site, rest)) = note(notes, base) {
        sites.extend(site);
        notes = rest;
    }
    sites
}

/// The first note, if it is a probe's, and what stands behind it.
fn note(notes: &[u8], base: Option<u64>) -> Option<(Option<Site>, &[u8])> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*notes.get(at..)?.first_chunk()?));
    let (owner_size, size, kind) = (u32_at(0)? as usize, u32_at(4)? as usize, u32_at(8)?);
    let owner = notes.get(12..)?.get(..owner_size)?;
    let start = 12 + owner_size.next_multiple_of(4);
    let description = notes.get(start..)?.get(..size)?;
    let rest = notes.get(start + size.next_multiple_of(4)..).unwrap_or_default();
    let is_probe = owner == OWNER && kind == PROBE;
    Some((if is_probe { probe(description, base) } else { None }, rest))
}

fn probe(description: &[u8], base: Option<u64>) -> Option<Site> {
    let u64_at = |at: usize| Some(u64::from_le_bytes(*description.get(at..)?.first_chunk()?));
    let (address, written_base, semaphore) = (u64_at(0)?, u64_at(8)?, u64_at(16)?);
    let moved = base.map_or(0, |base| base.wrapping_sub(written_base));
    let mut texts = description.get(24..)?.split(|&byte| byte == 0);
    let mut text = || Some(std::str::from_utf8(texts.next()?).ok()?.to_owned());
    Some(Site {
        provider: text()?,
        name: text()?,
        address: address.wrapping_add(moved),
        semaphore: (semaphore != 0).then(|| semaphore.wrapping_add(moved)),
        arguments: text()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn note_of(owner: &[u8], kind: u32, numbers: [u64; 3], texts: &[u8]) -> Vec<u8> {
        let mut description: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        description.extend(texts);
        let sizes = [owner.len() as u32, description.len() as u32, kind];
        let mut note: Vec<u8> = sizes.into_iter().flat_map(u32::to_le_bytes).collect();
        for part in [owner, &description] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn addresses_move_with_the_base() {
        let mut notes = note_of(OWNER, PROBE, [0x1000, 0x5000, 0x8000], b"app\0first\0-4@%eax 8@$5\0");
        notes.extend(note_of(b"GNU\0", PROBE, [1, 2, 3], b"a\0b\0\0"));
        notes.extend(note_of(OWNER, PROBE, [0x2000, 0x5000, 0], b"app\0second\0\0"));
        let sites = parse(&notes, Some(0x5100));
        let names: Vec<_> =
            sites.iter().map(|site| (site.name.as_str(), site.address, site.semaphore)).collect();
        assert_eq!(names, [("first", 0x1100, Some(0x8100)), ("second", 0x2100, None)]);
        assert_eq!((sites[0].provider.as_str(), sites[0].arguments.as_str()), ("app", "-4@%eax 8@$5"));
        assert_eq!(parse(&notes, None)[0].address, 0x1000);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..80) {
            parse(&bytes, Some(1));
            let mut note = note_of(OWNER, PROBE, [1, 2, 3], b"a\0b\0c\0");
            note.truncate(cut);
            note.append(&mut bytes);
            parse(&note, None);
        }
    }
}
