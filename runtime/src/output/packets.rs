//! Packets in files of the form `pcap`, as `tcpdump -r` reads them: each begins with its IP header (LINKTYPE_RAW).

use std::fs::File;
use std::io::{self, Write};

use rustc_hash::FxHashMap;

const MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_RAW: u32 = 101;
/// The most bytes of a packet that a reader has to expect.
const SNAPSHOT: u32 = 65536;

/// The files that are open; none where one could not be written, which was told.
#[derive(Debug, Default)]
pub struct Packets {
    files: FxHashMap<String, Option<File>>,
}

impl Packets {
    /// Appends a packet of `all` bytes that was seen at this time of day, of which these are the first. An error is
    /// reported once for each file.
    pub fn write(&mut self, path: &str, time: (i64, u32), all: u32, bytes: &[u8]) -> io::Result<()> {
        if !self.files.contains_key(path) {
            let created = create(path);
            let (file, result) = match created {
                Ok(file) => (Some(file), Ok(())),
                Err(error) => (None, Err(error)),
            };
            self.files.insert(path.to_owned(), file);
            result?;
        }
        let Some(slot) = self.files.get_mut(path) else { return Ok(()) };
        let Some(file) = slot else { return Ok(()) };
        let written = file.write_all(&record(time, all, bytes));
        if written.is_err() {
            *slot = None;
        }
        written
    }
}

fn create(path: &str) -> io::Result<File> {
    let mut file = File::create(path)?;
    let mut header = Vec::with_capacity(24);
    header.extend_from_slice(&MAGIC.to_ne_bytes());
    // Version 2.4; the time zone and the precision are always 0.
    header.extend_from_slice(&2u16.to_ne_bytes());
    header.extend_from_slice(&4u16.to_ne_bytes());
    header.extend_from_slice(&[0; 8]);
    header.extend_from_slice(&SNAPSHOT.to_ne_bytes());
    header.extend_from_slice(&LINKTYPE_RAW.to_ne_bytes());
    file.write_all(&header)?;
    Ok(file)
}

/// `{ u32 seconds, microseconds, bytes that follow, bytes in all }` and the bytes.
fn record((seconds, nanos): (i64, u32), all: u32, bytes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(16 + bytes.len());
    for number in [seconds as u32, nanos / 1000, bytes.len() as u32, all.max(bytes.len() as u32)] {
        record.extend_from_slice(&number.to_ne_bytes());
    }
    record.extend_from_slice(bytes);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_header_and_records() {
        let path = std::env::temp_dir().join(format!("rtscript-packets-{}", std::process::id()));
        let name = path.to_str().unwrap();
        let mut packets = Packets::default();
        packets.write(name, (7, 8_000), 100, b"abc").unwrap();
        packets.write(name, (9, 0), 1, b"de").unwrap();
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(content.len(), 24 + 16 + 3 + 16 + 2);
        let words: Vec<u32> =
            content[24..40].chunks(4).map(|word| u32::from_ne_bytes(*word.first_chunk().unwrap())).collect();
        assert_eq!(words, [7, 8, 3, 100]);
        assert_eq!(&content[40..43], b"abc");
        assert_eq!(content[20..24], 101u32.to_ne_bytes());
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_of_once() {
        let mut packets = Packets::default();
        assert!(packets.write("/none/x", (0, 0), 1, b"a").is_err());
        assert!(packets.write("/none/x", (0, 0), 1, b"a").is_ok());
        assert!(packets.write("/dev/full", (0, 0), 1, b"a").is_err());
    }
}
