//! Random scripts that are right: what `check` accepts the verifier has to accept.
//!
//! A script is a tree of lines, so that one that fails can be made small: lines are left out as long as it still fails in
//! the same way. The same seed gives the same script; each fourth seed gives a large one.

use std::fmt::{self, Display, Formatter};

/// A line, or a block with lines in it.
#[derive(Clone, Debug)]
pub struct Node {
    text: String,
    /// Of a block.
    lines: Option<Vec<Node>>,
}

/// The probes of a script, and what stands before them.
#[derive(Clone, Debug)]
pub struct Script(pub(super) Vec<Node>);

impl Script {
    pub fn random(seed: u64) -> Script {
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut generator = Generator { state, place: &PLACES[0], depth: 0, large: seed.is_multiple_of(4) };
        let probes = 1 + generator.below(if generator.large { 6 } else { 3 });
        let mut nodes =
            vec![block("begin".to_owned(), MAPS.iter().map(|text| line((*text).to_owned())).collect())];
        nodes.extend((0..probes).map(|_| generator.probe()));
        Script(nodes)
    }

    /// Leaves out lines as long as `fails` says that what is left fails like all of it.
    pub fn reduce(mut self, fails: impl Fn(&Script) -> bool) -> Script {
        let mut at = 0;
        while at < count(&self.0) {
            let mut smaller = self.clone();
            remove(&mut smaller.0, &mut at.clone());
            if fails(&smaller) {
                self = smaller;
            } else {
                at += 1;
            }
        }
        self
    }
}

/// How many lines there are, those in blocks included.
fn count(nodes: &[Node]) -> usize {
    nodes.iter().map(|node| 1 + node.lines.as_deref().map_or(0, count)).sum()
}

/// Removes line number `at`, with all that is in it.
fn remove(nodes: &mut Vec<Node>, at: &mut usize) -> bool {
    let mut index = 0;
    while index < nodes.len() {
        if *at == 0 {
            nodes.remove(index);
            return true;
        }
        *at -= 1;
        if nodes[index].lines.as_mut().is_some_and(|lines| remove(lines, at)) {
            return true;
        }
        index += 1;
    }
    false
}

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|node| write_node(node, 0, f))
    }
}

fn write_node(node: &Node, depth: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let indent = "    ".repeat(depth);
    match &node.lines {
        // What is whole already, and the value of a block.
        None if node.text.ends_with([' ', '\n']) => writeln!(f, "{indent}{}", node.text.trim_end()),
        None => writeln!(f, "{indent}{};", node.text),
        Some(lines) => {
            writeln!(f, "{indent}{} {{", node.text)?;
            lines.iter().try_for_each(|line| write_node(line, depth + 1, f))?;
            writeln!(f, "{indent}}}")
        }
    }
}

/// Where a body runs, and what it can see there.
struct Place {
    attach: &'static str,
    ints: &'static [&'static str],
    texts: &'static [&'static str],
    tasks: &'static [&'static str],
}

const PLACES: &[Place] = &[
    Place { attach: "begin", ints: &[], texts: &[], tasks: &[] },
    Place {
        attach: "rt:task_rename",
        ints: &["arg0", "args.task.pid", "args.task.signal.oom_score_adj", "args.task.in_execve"],
        texts: &["str(args.comm)", "str(arg1)", "str(args.comm, 20)", "args.task.comm"],
        tasks: &["args.task", "(struct task_struct *)arg0"],
    },
    Place {
        attach: "rt:sched_switch",
        ints: &["args.prev_state", "args.preempt", "arg3", "args.next.prio"],
        texts: &["args.prev.comm", "args.next.comm"],
        tasks: &["args.prev", "args.next"],
    },
    Place {
        attach: "rt:sched_wakeup*",
        ints: &["args.p.pid"],
        texts: &["args.p.comm", "probe"],
        tasks: &["args.p"],
    },
    Place { attach: "rt:sys_enter", ints: &["args.id", "arg1"], texts: &[], tasks: &[] },
    Place { attach: "rt:sys_enter, rt:sys_exit", ints: &["arg1"], texts: &[], tasks: &[] },
    Place {
        attach: "tracepoint:task:task_rename",
        ints: &["args.pid", "args.oom_score_adj"],
        texts: &["args.oldcomm", "args->newcomm"],
        tasks: &[],
    },
    Place {
        attach: "tracepoint:syscalls:sys_enter_openat",
        ints: &["args.dfd", "args.flags", "args.mode"],
        texts: &["str(args.filename)", "str(args.filename, 33)"],
        tasks: &[],
    },
    Place {
        attach: "tracepoint:sched:sched_process_exec",
        ints: &["args.pid"],
        texts: &["args.filename"],
        tasks: &[],
    },
    Place { attach: "interval:s:1", ints: &[], texts: &[], tasks: &[] },
    Place { attach: "end", ints: &[], texts: &[], tasks: &[] },
];

/// What the maps hold, so that all of them may be read everywhere.
const MAPS: &[&str] = &[
    "@n = nsecs",
    "@k[nsecs] = nsecs",
    "@by[comm] = nsecs",
    "@pair[nsecs, comm] = comm",
    "@tuple[nsecs] = (nsecs, comm)",
    "@task[nsecs] = curtask",
    "@count[comm] = count()",
    "@long[str(nsecs), nsecs, comm] = str(nsecs)",
    "@shape[nsecs, (nsecs, comm)] = ((nsecs, nsecs), nsecs == 0)",
];

const INTS: &[&str] = &["$a", "$b", "$c", "$d"];
const TEXTS: &[&str] = &["$s", "$t"];
const OPERATORS: &[&str] = &["+", "-", "*", "&", "|", "^"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
/// Kinds of statements that hold no others.
const SIMPLE: usize = 32;
const CASTS: &[&str] =
    &["(uint8)", "(int8)", "(uint16)", "(int16)", "(uint32)", "(int32)", "(uint64)", "(int64)"];

struct Generator {
    state: u64,
    place: &'static Place,
    /// Of blocks.
    depth: u32,
    large: bool,
}

impl Generator {
    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        ((self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end as u64) as usize
    }

    fn one_of(&mut self, from: &[&str]) -> String {
        from[self.below(from.len())].to_owned()
    }

    fn probe(&mut self) -> Node {
        self.place = &PLACES[self.below(PLACES.len())];
        // Variables have values before they are used, whatever is left out of what follows.
        let mut lines = vec![line("$p = curtask".to_owned())];
        for (index, name) in INTS.iter().enumerate() {
            lines.push(line(format!("{name} = (int64){}", ["pid", "nsecs", "-1", "cpu"][index])));
        }
        lines.push(line("$w = (uint8)pid".to_owned()));
        lines.push(line("$h = (int16)tid".to_owned()));
        lines.push(line("$u = (uint32)nsecs".to_owned()));
        lines.push(line("$l = str($a)".to_owned()));
        lines.push(line("$s = comm".to_owned()));
        lines.push(line("$t = \"a text that is longer than a name\"".to_owned()));
        self.depth = 0;
        lines.extend(self.block());
        let condition = match self.below(3) {
            // Variables have no values yet.
            0 => format!(" /pid != {} && comm != \"x\"/", self.below(100_000)),
            _ => String::new(),
        };
        Node { text: format!("{}{condition}", self.place.attach), lines: Some(lines) }
    }

    fn block(&mut self) -> Vec<Node> {
        self.depth += 1;
        let count = match (self.large, self.depth) {
            (true, 1) => 12 + self.below(20),
            (true, _) => 1 + self.below(8),
            (false, _) => 1 + self.below(6),
        };
        let mut lines = Vec::new();
        for _ in 0..count {
            if self.large && self.depth < 3 && self.below(12) == 0 {
                lines.extend(self.chain());
            } else {
                lines.push(self.statement());
            }
        }
        self.depth -= 1;
        lines
    }

    /// `if`, many `else if`, and `else`; or as many `if`s one after the other.
    fn chain(&mut self) -> Vec<Node> {
        let arms = 3 + self.below(20);
        let each = self.below(2) == 0;
        let mut nodes = Vec::new();
        for arm in 0..arms {
            let condition = self.bool(1);
            let word = if arm == 0 || each { "if" } else { "else if" };
            let lines = vec![self.statement_of(SIMPLE), self.statement_of(SIMPLE)];
            nodes.push(block(format!("{word} ({condition})"), lines));
        }
        if !each {
            let lines = vec![self.statement_of(SIMPLE)];
            nodes.push(block("else".to_owned(), lines));
        }
        nodes
    }

    fn statement(&mut self) -> Node {
        let nested = self.depth < if self.large { 6 } else { 4 };
        self.statement_of(if nested { SIMPLE + 6 } else { SIMPLE })
    }

    /// A statement of one of the first `kinds` kinds.
    fn statement_of(&mut self, kinds: usize) -> Node {
        line(match self.below(kinds) {
            0..3 => format!("{} = {}", self.one_of(INTS), self.int(3)),
            3 => format!("{} {}= {}", self.one_of(INTS), self.one_of(OPERATORS), self.int(2)),
            4 => format!("{}{}", self.one_of(INTS), self.one_of(&["++", "--"])),
            5 => format!("{} = {}", self.one_of(TEXTS), self.text(2)),
            6 => format!("$p = {}", self.task()),
            7 => format!("@n = {}", self.int(2)),
            8 => format!("@n {}= {}", self.one_of(OPERATORS), self.int(2)),
            9 => format!("@k[{}] = {}", self.int(2), self.int(2)),
            10 => format!("@k[{}]++", self.int(2)),
            11 => format!("@by[{}] = {}", self.text(1), self.int(2)),
            12 => format!("@pair[{}, {}] = {}", self.int(1), self.text(1), self.text(1)),
            13 => format!("@tuple[{}] = ({}, {})", self.int(1), self.int(1), self.text(1)),
            14 => format!("@task[{}] = {}", self.int(1), self.task()),
            15 => format!("@count[{}] = count()", self.text(1)),
            16 => format!(
                "@{}",
                match self.below(5) {
                    0 => format!("sum = sum({})", self.int(2)),
                    1 => format!("avg[{}] = avg({})", self.int(1), self.int(2)),
                    2 => format!("stats = stats({})", self.int(2)),
                    3 => format!("max[{}] = max({})", self.int(1), self.int(2)),
                    _ => format!("min = min({})", self.int(2)),
                }
            ),
            17 => match self.below(2) {
                0 => format!("@hist = hist({})", self.int(2)),
                _ => format!("@lhist[{}] = lhist({}, 0, 1000, 10)", self.text(1), self.int(2)),
            },
            18 => format!("delete(@k, {})", self.int(2)),
            19 => format!("delete(@pair, ({}, {}))", self.int(1), self.text(1)),
            20 => format!("print(({}, {}, {}))", self.int(2), self.text(1), self.bool(1)),
            21 => self.one_of(&[
                "print(@k)",
                "clear(@by)",
                "zero(@n)",
                "time()",
                "print(@count, 5)",
                "print(kstack(3))",
            ]),
            22 | 23 => format!(
                "printf(\"%d %s %x %s\\n\", {}, {}, {}, {})",
                self.int(3),
                self.text(1),
                self.int(1),
                self.text(1)
            ),
            24 => match self.below(3) {
                0 => format!("$w = (uint8){}", self.int(2)),
                1 => format!("$h = (int16){}", self.int(2)),
                _ => format!("$u = (uint32){}", self.int(2)),
            },
            25 => format!("$l = {}", self.long_text()),
            26 => format!(
                "@long[{}, {}, {}] = {}",
                self.long_text(),
                self.int(1),
                self.text(1),
                self.long_text()
            ),
            27 => format!(
                "@shape[{}, ({}, {})] = (({}, {}), {})",
                self.int(1),
                self.int(1),
                self.text(1),
                self.int(1),
                self.int(1),
                self.bool(1)
            ),
            28 => format!(
                "printf(\"%s %s %r %s\\n\", {}, {}, buf({}, {}), ntop({}))",
                self.long_text(),
                self.text(1),
                self.one_of(INTS),
                1 + self.below(200),
                self.one_of(INTS)
            ),
            29 => {
                let frames = self.one_of(&["3", "7", "20"]);
                format!("@stack{frames}[kstack({frames}), {}] = count()", self.int(1))
            }
            30 => format!("$a = (int64)strlen({})", self.text(1)),
            31 => format!("@many{}[{}, {}] = {}", self.below(20), self.int(1), self.int(1), self.int(1)),
            32 | 33 => return block(format!("if ({})", self.bool(3)), self.block()),
            34 => return block(format!("for ($i : 0..{})", self.below(40)), self.block()),
            35 => return block(format!("unroll ({})", 1 + self.below(3)), self.block()),
            36 => {
                let body = self.block();
                return block(format!("while ({})", self.bool(2)), body);
            }
            _ => return block(format!("if ({})", self.bool(1)), vec![line("return".to_owned())]),
        })
    }

    fn int(&mut self, depth: u32) -> String {
        if depth == 0 || self.below(4) == 0 {
            return self.plain_int();
        }
        match self.below(12) {
            0..4 => format!("({} {} {})", self.int(depth - 1), self.one_of(OPERATORS), self.int(depth - 1)),
            4 => format!("({} {} {})", self.int(depth - 1), self.one_of(&["/", "%"]), 1 + self.below(1000)),
            5 => format!("({} {} {})", self.int(depth - 1), self.one_of(&["/", "%"]), self.one_of(INTS)),
            6 => format!("({} {} {})", self.int(depth - 1), self.one_of(&["<<", ">>"]), self.below(64)),
            7 => format!("({} {} {})", self.int(depth - 1), self.one_of(&["<<", ">>"]), self.one_of(INTS)),
            8 => format!("{}({})", self.one_of(&["-", "~"]), self.int(depth - 1)),
            9 => format!("{}({})", self.one_of(CASTS), self.int(depth - 1)),
            10 => format!("({} ? {} : {})", self.bool(depth - 1), self.int(depth - 1), self.int(depth - 1)),
            _ => match self.below(4) {
                0 => format!("@k[{}]", self.int(depth - 1)),
                1 => format!("@by[{}]", self.text(depth - 1)),
                2 => format!("@tuple[{}].0", self.int(depth - 1)),
                _ => format!("@task[{}].pid", self.int(depth - 1)),
            },
        }
    }

    fn plain_int(&mut self) -> String {
        match self.below(10) {
            0 => self.below(300).to_string(),
            1 => self.one_of(&["0", "-1", "0xffffffff", "0x7fffffffffffffff", "65536", "1s", "SIGKILL"]),
            2 => self.one_of(&["pid", "tid", "uid", "cpu", "nsecs", "elapsed", "rand", "ncpus", "cgroup"]),
            3 if !self.place.ints.is_empty() => self.one_of(self.place.ints),
            4 => {
                let task = self.one_of(&["$p", "curtask"]);
                let field = self.one_of(&[
                    "pid",
                    "prio",
                    "in_iowait",
                    "flags",
                    "signal.oom_score_adj",
                    "real_parent.tgid",
                    "thread_info.flags",
                    "fs.umask",
                ]);
                format!("{task}.{field}")
            }
            5 => "@n".to_owned(),
            6 => self.one_of(&["$w", "$h", "$u"]),
            _ => self.one_of(INTS),
        }
    }

    fn bool(&mut self, depth: u32) -> String {
        if depth == 0 {
            return format!("{} {} {}", self.one_of(INTS), self.one_of(COMPARISONS), self.below(100));
        }
        match self.below(8) {
            0..3 => format!("{} {} {}", self.int(depth - 1), self.one_of(COMPARISONS), self.int(depth - 1)),
            3 => format!("({} && {})", self.bool(depth - 1), self.bool(depth - 1)),
            4 => format!("({} || {})", self.bool(depth - 1), self.bool(depth - 1)),
            5 => format!("!({})", self.bool(depth - 1)),
            6 => format!("{} {} {}", self.text(depth - 1), self.one_of(&["==", "!="]), self.text(depth - 1)),
            _ => format!("has_key(@k, {})", self.int(depth - 1)),
        }
    }

    fn text(&mut self, depth: u32) -> String {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => "comm".to_owned(),
            1 => self.one_of(&[
                "\"\"",
                "\"x\"",
                "\"sixteen letters!\"",
                "\"some words that are longer than that\"",
            ]),
            2 if !self.place.texts.is_empty() => match self.one_of(self.place.texts) {
                // It is no text for operators.
                text if text == "probe" => "comm".to_owned(),
                text => text,
            },
            3 => self.one_of(&["$p.comm", "curtask.real_parent.comm", "str($a)", "str($b, 7)"]),
            5 => format!("({} ? {} : {})", self.bool(depth - 1), self.text(depth - 1), self.text(depth - 1)),
            6 => format!("@pair[{}, {}]", self.int(depth - 1), self.text(depth - 1)),
            7 => format!("@tuple[{}].1", self.int(depth - 1)),
            _ => self.one_of(TEXTS),
        }
    }

    fn long_text(&mut self) -> String {
        match self.below(6) {
            0 => format!("str({})", self.one_of(INTS)),
            1 => format!("str({}, {})", self.one_of(INTS), self.one_of(INTS)),
            2 => format!("({} ? {} : {})", self.bool(1), self.text(1), "$l"),
            3 => "@long[str($a), 1, comm]".to_owned(),
            _ => "$l".to_owned(),
        }
    }

    fn task(&mut self) -> String {
        match self.below(4) {
            0 if !self.place.tasks.is_empty() => self.one_of(self.place.tasks),
            1 => "$p.real_parent".to_owned(),
            2 => format!("@task[{}]", self.int(1)),
            _ => "curtask".to_owned(),
        }
    }
}

pub(super) fn line(text: String) -> Node {
    Node { text, lines: None }
}

pub(super) fn block(text: String, lines: Vec<Node>) -> Node {
    Node { text, lines: Some(lines) }
}
