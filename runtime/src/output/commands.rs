//! What an event asks for besides printing its own values: messages about a place of the script, files, commands.
//!
//! What goes wrong here is said on standard error and does not end the run.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rtscript_lang::action::{self, Level};
use rtscript_lang::record::Record;
use rtscript_lang::syntax::source::{Sources, Span};

use super::actions::{Format, Printer, place_json};
use super::event::Event;
use super::json;
use super::printf::printf;
use super::value::word;
use crate::report::say;

impl Printer<'_> {
    /// `errorf` and `warnf`: with the place of the script, on standard error; in JSON a record among the others.
    pub(super) fn message(
        &mut self,
        level: Level,
        span: Span,
        format: &action::Format,
        args: &Record,
        event: Event<'_>,
    ) -> bool {
        if level == Level::Warning && !self.warnings {
            return false;
        }
        let text = self.formatted(format, args, event);
        match self.format {
            Format::Text => {
                let mut line = place(self.sources, span);
                line.extend_from_slice(match level {
                    Level::Error => b"ERROR: ",
                    Level::Warning => b"WARNING: ",
                });
                line.extend_from_slice(&text);
                if !line.ends_with(b"\n") {
                    line.push(b'\n');
                }
                let _ = io::stderr().write_all(&line);
                true
            }
            Format::Json => {
                let sources = self.sources;
                self.writer.append(|out| {
                    out.extend_from_slice(match level {
                        Level::Error => b"{\"type\": \"errorf\", \"msg\": ",
                        Level::Warning => b"{\"type\": \"warnf\", \"msg\": ",
                    });
                    json::quoted(&text, out);
                    place_json(sources, span, out);
                    out.extend_from_slice(b"}\n");
                })
            }
        }
    }

    /// The text that a format makes of an event.
    pub(super) fn formatted(&self, format: &action::Format, args: &Record, event: Event<'_>) -> Vec<u8> {
        let mut text = Vec::new();
        printf(&self.values, format, args, event, &mut text);
        text
    }

    /// `cat`: what is in a file, or its beginning.
    pub(super) fn cat(&mut self, path: &[u8]) -> bool {
        let most = u64::from(self.manifest.config.max_cat_bytes);
        let path = Path::new(OsStr::from_bytes(path));
        match beginning(path, most) {
            Ok(content) => self.text_line("cat", |_, out| out.extend_from_slice(&content)),
            Err(error) => {
                say(format_args!("rtscript: cat cannot read {}: {error}", path.display()));
                false
            }
        }
    }

    /// `skboutput`: nothing is printed.
    pub(super) fn packet(&mut self, path: &str, args: &Record, event: Event<'_>) -> bool {
        let number = |index| word(event.field(args, index));
        let time = self.values.time_of_day(number(0));
        let Some(field) = args.fields.get(2) else { return false };
        let bytes = self.values.raw(&field.ty, event.field(args, 2));
        if let Err(error) = self.packets.write(path, time, number(1) as u32, bytes) {
            say(format_args!("rtscript: packets cannot be written to {path}: {error}"));
        }
        false
    }

    /// `system`: runs a shell command to its end. What it prints is printed at once; in JSON it is one record. A command
    /// that fails is told of.
    pub(super) fn system(&mut self, command: &[u8]) -> bool {
        let run = Command::new("/bin/sh")
            .arg("-c")
            .arg(OsStr::from_bytes(command))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let done = run.and_then(|mut child| {
            let printed = child.stdout.take().map_or(Ok(()), |output| self.pass_on(output));
            let status = child.wait()?;
            printed.map(|()| status)
        });
        match done {
            Ok(status) => {
                if !status.success() {
                    say(format_args!("rtscript: a command of system() failed: {status}"));
                }
                true
            }
            Err(error) => {
                say(format_args!("rtscript: system cannot run a command: {error}"));
                false
            }
        }
    }

    /// Prints what a command prints until it closes its output, or ours is closed.
    fn pass_on(&mut self, mut output: impl Read) -> io::Result<()> {
        match self.format {
            Format::Text => {
                let mut buffer = vec![0; 1 << 16];
                while self.writer.broken().is_none() {
                    let length = match output.read(&mut buffer) {
                        Ok(0) => break,
                        Ok(length) => length,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    };
                    self.writer.append(|out| out.extend_from_slice(&buffer[..length]));
                    self.writer.flush();
                }
            }
            Format::Json => {
                let mut text = Vec::new();
                output.read_to_end(&mut text)?;
                self.text_line("syscall", |_, out| out.extend_from_slice(&text));
            }
        }
        Ok(())
    }
}

/// `file:line:col-col: `, counted from 1, the last column behind the end; `file:line-line: ` where it goes on.
fn place(sources: &Sources, span: Span) -> Vec<u8> {
    let Some(source) = sources.find(span) else { return Vec::new() };
    let (line, col) = source.line_col(span.start);
    let (end_line, end_col) = source.line_col(span.end);
    if line == end_line {
        format!("{}:{line}:{col}-{end_col}: ", source.name).into_bytes()
    } else {
        format!("{}:{line}-{end_line}: ", source.name).into_bytes()
    }
}

/// Up to so many bytes of a file. A pipe that nobody fills does not hold up the run.
fn beginning(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let mut content = Vec::new();
    match file.take(most).read_to_end(&mut content) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => Ok(content),
    }
}
