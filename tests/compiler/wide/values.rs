//! Values by their type.

use std::collections::BTreeSet;

use super::*;

impl Generator {
    /// A variable of this type.
    pub(super) fn variable(&mut self, ty: &Type) -> Option<String> {
        let found: Vec<String> =
            self.variables.iter().filter(|(_, other)| other == ty).map(|(name, _)| name.clone()).collect();
        (!found.is_empty()).then(|| self.one_of(&found))
    }

    /// A number that can be changed.
    pub(super) fn int_place(&mut self) -> String {
        let places: Vec<String> = self
            .variables
            .iter()
            .filter(|(name, ty)| matches!(ty, Type::Int("int64" | "uint64")) && name.starts_with("$v"))
            .map(|(name, _)| name.clone())
            .collect();
        if places.is_empty() || self.below(4) == 0 {
            return format!("@z{}[{}]", self.below(3), self.int(1));
        }
        self.one_of(&places)
    }

    /// An address that structures may be read from.
    pub(super) fn address(&mut self) -> Option<&'static str> {
        (!self.pure && !self.place.addresses.is_empty()).then(|| self.one_of(self.place.addresses))
    }

    pub(super) fn value(&mut self, ty: &Type, depth: u32) -> String {
        if depth > 0
            && self.below(3) == 0
            && let Some(name) = self.variable(ty)
        {
            return name;
        }
        if depth > 0 && !self.pure {
            match self.below(8) {
                0 => {
                    let maps: Vec<Map> = self.maps.iter().filter(|map| map.value == *ty).cloned().collect();
                    if !maps.is_empty() {
                        let map = self.one_of(&maps);
                        return match &map.key {
                            Some(key) => format!("{}[{}]", map.name, self.value(key, depth - 1)),
                            None => map.name,
                        };
                    }
                }
                1 => {
                    if let Some(part) = self.part(ty) {
                        return part;
                    }
                }
                2 if !matches!(ty, Type::Task) => {
                    let condition = self.bool(depth - 1);
                    let (then, otherwise) = (self.value(ty, depth - 1), self.value(ty, depth - 1));
                    return format!("({condition} ? {then} : {otherwise})");
                }
                _ => {}
            }
        }
        match ty {
            Type::Int(name) => format!("({name}){}", self.int(depth)),
            Type::Bool => format!("({})", self.bool(depth.max(1))),
            Type::Text(capacity) => self.text(*capacity, depth),
            Type::Tuple(types) => {
                let values: Vec<String> =
                    types.iter().map(|ty| self.value(ty, depth.saturating_sub(1))).collect();
                format!("({})", values.join(", "))
            }
            Type::Record(types) => {
                let values: Vec<String> = types
                    .iter()
                    .zip("abcdef".chars())
                    .map(|(ty, name)| format!("{name} = {}", self.value(ty, depth.saturating_sub(1))))
                    .collect();
                format!("({})", values.join(", "))
            }
            Type::Array(..) => format!("(*(struct wide *){}).numbers", self.address().unwrap_or("curtask")),
            Type::Struct(name) => format!("*(struct {name} *){}", self.address().unwrap_or("curtask")),
            Type::Enum => self.one_of(&["LIGHT", "DARK", "BLACK", "(enum shade)7"]).to_owned(),
            Type::Task => match self.below(3) {
                0 if !self.place.tasks.is_empty() && !self.pure => self.one_of(self.place.tasks).to_owned(),
                1 => "curtask.real_parent".to_owned(),
                _ => "curtask".to_owned(),
            },
        }
    }

    /// A part of this type of a variable that has parts.
    pub(super) fn part(&mut self, ty: &Type) -> Option<String> {
        let mut found = BTreeSet::new();
        for (name, of) in &self.variables {
            parts(name, of, ty, &mut found);
        }
        let found: Vec<String> = found.into_iter().collect();
        (!found.is_empty()).then(|| self.one_of(&found))
    }

    pub(super) fn int(&mut self, depth: u32) -> String {
        if depth == 0 || self.below(4) == 0 {
            return self.plain_int();
        }
        match self.below(if self.pure { 6 } else { 16 }) {
            0..3 => {
                let (left, op, right) =
                    (self.int(depth - 1), self.one_of(OPERATORS), self.operand(depth - 1));
                format!("({left} {op} {right})")
            }
            3 => format!("{}({})", self.one_of(&["-", "~"]), self.int(depth - 1)),
            4 => format!("({}){}", self.one_of(INTS), self.int(depth - 1)),
            5 => {
                let condition = self.bool(depth - 1);
                format!("({condition} ? (int64){} : (int64){})", self.int(depth - 1), self.int(depth - 1))
            }
            6 => format!("strlen({})", self.text(1024, depth - 1)),
            7 => format!("(int64)strcontains({}, {})", self.text(64, depth - 1), self.text(16, depth - 1)),
            8 => {
                let (left, right) = (self.text(1024, depth - 1), self.text(100, depth - 1));
                format!("strncmp({left}, {right}, {})", 1 + self.below(60))
            }
            9 => format!("bswap({})", self.value(&Type::Int("uint32"), depth - 1)),
            10 => {
                let text = format!("(*(struct wide *){})", self.address().unwrap_or("curtask"));
                let index = self.below(6);
                match self.below(5) {
                    0 => format!("{text}.numbers[{index}]"),
                    1 => format!("{text}.pairs[1].third"),
                    2 => format!("{text}.few"),
                    3 => format!("{text}.next->first"),
                    _ => format!("{text}.many"),
                }
            }
            11 => {
                let maps: Vec<Map> = self.maps.iter().filter(|map| map.key.is_some()).cloned().collect();
                if maps.is_empty() {
                    return self.plain_int();
                }
                let map = self.one_of(&maps);
                match self.below(4) {
                    0 => format!("(int64)len({})", map.name),
                    _ => format!(
                        "(int64)has_key({}, {})",
                        map.name,
                        self.value(&map.key.expect("a key"), depth - 1)
                    ),
                }
            }
            12 => format!("(int64)@z{}[{}]", self.below(3), self.int(depth - 1)),
            13 if !self.functions.is_empty() => {
                let index = self.below(self.functions.len());
                let values: Vec<String> =
                    self.functions[index].clone().iter().map(|ty| self.value(ty, depth - 1)).collect();
                format!("f{index}({})", values.join(", "))
            }
            14 => match self.part(&Type::Int("int32")) {
                Some(part) => format!("(int64){part}"),
                None => self.plain_int(),
            },
            _ => {
                let task = self.value(&Type::Task, depth - 1);
                let member = self.one_of(&[
                    "pid",
                    "in_iowait",
                    "signal.oom_score_adj",
                    "real_parent.tgid",
                    "mm.total_vm",
                    "fs.pwd.dentry.d_name.len",
                    "se.vruntime",
                    "files.fdt.max_fds",
                ]);
                format!("({task}).{member}")
            }
        }
    }

    /// What may be divided by: no constant that is zero.
    pub(super) fn operand(&mut self, depth: u32) -> String {
        match self.variable(&Type::Int("int64")) {
            Some(name) if self.below(2) == 0 => name,
            _ => format!("((int64){} | 1)", self.int(depth)),
        }
    }

    pub(super) fn plain_int(&mut self) -> String {
        let ints: Vec<String> = self
            .variables
            .iter()
            .filter(|(_, ty)| matches!(ty, Type::Int(_)))
            .map(|(name, _)| name.clone())
            .collect();
        match self.below(8) {
            0 => self.below(300).to_string(),
            1 => self
                .one_of(&["0", "-1", "0xffffffff", "0x7fffffffffffffff", "65536", "1s", "SIGKILL"])
                .to_owned(),
            2 if !self.pure => {
                self.one_of(&["pid", "tid", "uid", "cpu", "nsecs", "elapsed", "rand"]).to_owned()
            }
            3 if !self.pure && !self.place.ints.is_empty() => {
                format!("(int64){}", self.one_of(self.place.ints))
            }
            _ if !ints.is_empty() => self.one_of(&ints),
            _ => self.below(10).to_string(),
        }
    }

    pub(super) fn bool(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("((int64){} {} {})", self.plain_int(), self.one_of(COMPARISONS), self.below(100));
        }
        match self.below(if self.pure { 4 } else { 10 }) {
            0 => {
                let (left, right) = (self.int(depth - 1), self.int(depth - 1));
                format!("((int64){left} {} (int64){right})", self.one_of(COMPARISONS))
            }
            1 => format!("({} && {})", self.bool(depth - 1), self.bool(depth - 1)),
            2 => format!("({} || {})", self.bool(depth - 1), self.bool(depth - 1)),
            3 => format!("!({})", self.bool(depth - 1)),
            4 | 5 => {
                let (left, right) = (self.text(1024, depth - 1), self.text(64, depth - 1));
                format!("({left} {} {right})", self.one_of(&["==", "!="]))
            }
            6 => {
                let types = vec![self.type_(0), self.type_(0)];
                let ty = Type::Tuple(types);
                let (left, right) = (self.value(&ty, depth - 1), self.value(&ty, depth - 1));
                format!("({left} {} {right})", self.one_of(&["==", "!="]))
            }
            7 => {
                let ty = Type::Array("int32", 6);
                let (left, right) = (self.value(&ty, depth - 1), self.value(&ty, depth - 1));
                format!("({left} {} {right})", self.one_of(&["==", "!="]))
            }
            8 => format!("({}) != 0", self.value(&Type::Task, depth - 1)),
            _ => format!("strcontains({}, {})", self.text(64, depth - 1), self.text(16, depth - 1)),
        }
    }

    /// A text that has room in this capacity.
    pub(super) fn text(&mut self, capacity: usize, depth: u32) -> String {
        let variables: Vec<String> = self
            .variables
            .iter()
            .filter(|(_, ty)| matches!(ty, Type::Text(of) if *of <= capacity))
            .map(|(name, _)| name.clone())
            .collect();
        if !variables.is_empty() && self.below(3) == 0 {
            return self.one_of(&variables);
        }
        match self.below(if depth == 0 { 4 } else { 6 }) {
            0 => self.one_of(&["\"\"", "\"x\"", "\"seven l\""]).to_owned(),
            1 if capacity >= 16 => "comm".to_owned(),
            2 if capacity >= 1024 && !self.place.texts.is_empty() && !self.pure => {
                self.one_of(self.place.texts).to_owned()
            }
            3 if capacity >= 16 => self.one_of(&["curtask.comm", "curtask.real_parent.comm"]).to_owned(),
            4 => match self.address() {
                Some(address) => format!("str({address}, {})", 1 + self.below(capacity.min(1000))),
                None => "\"none\"".to_owned(),
            },
            5 if capacity >= 20 => {
                format!("(*(struct wide *){}).name", self.address().unwrap_or("curtask"))
            }
            _ => "\"a\"".to_owned(),
        }
    }
}

/// Collects how the parts of this type are written.
fn parts(text: &str, of: &Type, ty: &Type, found: &mut BTreeSet<String>) {
    let mut part = |name: String, of: &Type| {
        if of == ty {
            found.insert(name.clone());
        }
        parts(&name, of, ty, found);
    };
    match of {
        Type::Tuple(types) => {
            types.iter().enumerate().for_each(|(index, of)| part(format!("{text}.{index}"), of));
        }
        Type::Record(types) => {
            types.iter().zip("abcdef".chars()).for_each(|(of, name)| part(format!("{text}.{name}"), of));
        }
        Type::Struct("wide") => {
            part(format!("{text}.numbers"), &Type::Array("int32", 6));
            part(format!("{text}.pairs[1]"), &Type::Struct("pair"));
        }
        Type::Struct(_) => part(format!("{text}.first"), &Type::Int("int32")),
        Type::Array(..) => part(format!("{text}[3]"), &Type::Int("int32")),
        Type::Int(_) | Type::Bool | Type::Text(_) | Type::Enum | Type::Task => {}
    }
}
