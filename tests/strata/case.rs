//! The file of a case: remarks, a head of `key: value` lines, and sections that begin with `--- NAME`.
//!
//! ```text
//! # Signed division rounds toward zero.
//! args: -q
//! --- script
//! begin { print(-7 / 2) }
//! --- stdout
//! -3
//! ```
//!
//! A section is every byte of its lines; a last line `\ no newline` says that the line before it has none.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Outcome, blessing, difference, pattern};

const NO_NEWLINE: &str = "\\ no newline\n";

pub struct Case {
    pub path: PathBuf,
    /// Remarks and keys, as they are written.
    head: String,
    sections: Vec<(String, String)>,
}

impl Case {
    pub fn read(path: &Path) -> Case {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut head = String::new();
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            match (line.strip_prefix("--- "), sections.last_mut()) {
                (Some(name), _) => sections.push((name.trim().to_owned(), String::new())),
                (None, Some((_, text))) => text.push_str(line),
                (None, None) => head.push_str(line),
            }
        }
        for (_, text) in &mut sections {
            if let Some(cut) = text.strip_suffix(NO_NEWLINE) {
                *text = cut.strip_suffix('\n').unwrap_or(cut).to_owned();
            }
        }
        Case { path: path.to_owned(), head, sections }
    }

    pub fn name(&self) -> String {
        self.path.file_stem().expect("a name").to_string_lossy().into_owned()
    }

    /// The values of a key, in their order.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        let lines = self.head.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(move |line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim()))
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.values(key).next()
    }

    /// Complains of keys and sections that mean nothing: they would be tests that test nothing.
    pub fn check(&self, keys: &[&str], sections: &[&str]) -> Result<(), String> {
        let lines = self.head.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        for line in lines {
            let key = line.split(':').next().unwrap_or(line);
            if !keys.contains(&key) {
                return Err(format!("{}: the key `{key}` means nothing", self.path.display()));
            }
        }
        match self.sections.iter().find(|(name, _)| !sections.contains(&name.as_str())) {
            Some((name, _)) => Err(format!("{}: the section `{name}` means nothing", self.path.display())),
            None => Ok(()),
        }
    }

    pub fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|(section, _)| section == name).map(|(_, text)| text.as_str())
    }

    pub fn section_names(&self) -> Vec<String> {
        self.sections.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Compares what was found with the sections of the same names, or writes it there.
    pub fn judge(mut self, found: &[(&str, String)]) -> Outcome {
        let wrong: Vec<_> = found
            .iter()
            .filter(|(name, text)| !pattern::matches(self.section(name).unwrap_or(""), text))
            .collect();
        if wrong.is_empty() {
            return Outcome::Passed;
        }
        if !blessing() {
            let report =
                |(name, text): &&(&str, String)| difference(name, self.section(name).unwrap_or(""), text);
            return Outcome::Failed(wrong.iter().map(report).collect());
        }
        for (name, text) in wrong {
            match self.sections.iter_mut().find(|(section, _)| section == name) {
                Some((_, old)) => old.clone_from(text),
                None => self.sections.push(((*name).to_owned(), text.clone())),
            }
        }
        self.write();
        Outcome::Blessed
    }

    fn write(&self) {
        let mut text = self.head.clone();
        for (name, section) in &self.sections {
            text.push_str(&format!("--- {name}\n{section}"));
            if !section.is_empty() && !section.ends_with('\n') {
                text.push('\n');
                text.push_str(NO_NEWLINE);
            }
        }
        fs::write(&self.path, text).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}
