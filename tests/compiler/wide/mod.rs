//! Random scripts over the whole language: values of all types, in variables, keys and elements, read by all kinds of
//! statements, in probes of many types. They are right, so the verifier has to accept them.
//!
//! Values are made by type: whatever stands where a type is wanted has that type. What random.rs makes is denser in
//! arithmetic and branches; here it is the types that are many.

mod places;
mod values;

use places::{NOWHERE, PLACES, Place};

use super::random::{Node, Script, block, line};

/// The type of a value.
#[derive(Clone, Debug, PartialEq)]
enum Type {
    Int(&'static str),
    Bool,
    /// With its capacity.
    Text(usize),
    Tuple(Vec<Type>),
    /// Its members are called `a`, `b`, …
    Record(Vec<Type>),
    Array(&'static str, usize),
    Struct(&'static str),
    Enum,
    Task,
}

/// What a map holds.
#[derive(Clone, Debug)]
struct Map {
    name: String,
    /// None of a scalar.
    key: Option<Type>,
    value: Type,
}

const HEAD: &str = "struct pair { int first; char second; unsigned long long third; };
struct wide { struct pair pairs[2]; char name[20]; int numbers[6]; int few : 5; unsigned int many : 11; struct pair *next; };
enum shade { LIGHT = 1, DARK = 7, BLACK = -3 };
\n";

const INTS: &[&str] =
    &["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "int64", "int64"];
const CAPACITIES: &[usize] = &[8, 16, 17, 32, 64, 100, 256, 1024, 1024, 2000];
const OPERATORS: &[&str] = &["+", "-", "*", "&", "|", "^", "/", "%", "<<", ">>"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">="];
/// Kinds of statements that hold no others.
const SIMPLE: usize = 22;

struct Generator {
    state: u64,
    place: &'static Place,
    depth: u32,
    loops: u32,
    large: bool,
    maps: Vec<Map>,
    /// Those that are assigned, with their types; those of blocks go with them.
    variables: Vec<(String, Type)>,
    /// How many names were given.
    names: usize,
    /// Functions and macros: their parameters.
    functions: Vec<Vec<Type>>,
    macros: usize,
    /// Where only calculations may stand.
    pure: bool,
}

impl Script {
    pub fn wide(seed: u64) -> Script {
        let mut it = Generator {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            place: &NOWHERE,
            depth: 0,
            loops: 0,
            large: seed.is_multiple_of(10),
            maps: Vec::new(),
            variables: Vec::new(),
            names: 0,
            functions: Vec::new(),
            macros: 0,
            pure: false,
        };
        let mut nodes = vec![line(HEAD.to_owned())];
        nodes.extend(it.declare_maps());
        for _ in 0..it.below(3) {
            nodes.push(it.macro_());
        }
        for _ in 0..it.below(3) {
            nodes.push(it.function());
        }
        let first = it.fill_maps();
        nodes.push(first);
        for _ in 0..1 + it.below(if it.large { 5 } else { 3 }) {
            nodes.push(it.probe());
        }
        Script(nodes)
    }
}

impl Generator {
    /// A number below `end` (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        ((self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end as u64) as usize
    }

    fn one_of<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("$v{}", self.names)
    }

    fn type_(&mut self, depth: u32) -> Type {
        match self.below(if depth == 0 { 7 } else { 13 }) {
            0..3 => Type::Int(self.one_of(INTS)),
            3 => Type::Bool,
            4 | 5 => Type::Text(self.one_of(CAPACITIES)),
            6 => Type::Enum,
            7 | 8 => Type::Tuple((0..2 + self.below(3)).map(|_| self.type_(depth - 1)).collect()),
            9 => Type::Record((0..1 + self.below(4)).map(|_| self.type_(depth - 1)).collect()),
            10 => Type::Array("int32", 6),
            11 => Type::Struct(self.one_of(&["pair", "wide"])),
            _ => Type::Task,
        }
    }

    /// Some maps are declared with a kind.
    fn declare_maps(&mut self) -> Vec<Node> {
        let mut declared = Vec::new();
        for index in 0..4 + self.below(if self.large { 16 } else { 5 }) {
            let key = (self.below(6) > 0).then(|| self.type_(2));
            let value = self.type_(2);
            let name = format!("@m{index}");
            if key.is_some() && self.below(3) == 0 {
                let kind = self.one_of(&["hash", "lruhash", "percpuhash", "percpulruhash"]);
                declared.push(line(format!("let {name} = {kind}({})", 10 + self.below(1000))));
            }
            self.maps.push(Map { name, key, value });
        }
        declared
    }

    /// So that all maps have types, whatever is left out.
    fn fill_maps(&mut self) -> Node {
        self.variables.clear();
        let mut lines: Vec<Node> =
            (0..3).map(|index| line(format!("@z{index}[nsecs] = (int64)nsecs"))).collect();
        for map in self.maps.clone() {
            let value = self.value(&map.value, 0);
            lines.push(match &map.key {
                Some(key) => line(format!("{}[{}] = {value}", map.name, self.value(key, 0))),
                None => line(format!("{} = {value}", map.name)),
            });
        }
        block("begin".to_owned(), lines)
    }

    fn macro_(&mut self) -> Node {
        self.pure = true;
        self.variables = vec![("$x".to_owned(), Type::Int("int64"))];
        let value = self.int(3);
        let mut lines = vec![line(format!("let $inner : int64 = {value}"))];
        if self.below(2) == 0 {
            let condition = self.bool(2);
            lines.push(block(format!("if ({condition})"), vec![line("$x += $inner".to_owned())]));
        }
        lines.push(line("$inner + (int64)(e) ".to_owned()));
        self.pure = false;
        let name = self.macros;
        self.macros += 1;
        block(format!("macro m{name}($x, e)"), lines)
    }

    fn function(&mut self) -> Node {
        self.pure = true;
        let parameters: Vec<Type> = (0..1 + self.below(4)).map(|_| Type::Int(self.one_of(INTS))).collect();
        self.variables =
            parameters.iter().enumerate().map(|(index, ty)| (format!("$p{index}"), ty.clone())).collect();
        let texts: Vec<String> =
            self.variables.iter().map(|(name, ty)| format!("{name} : {}", written(ty))).collect();
        let (early, late, condition) = (self.int(3), self.int(3), self.bool(2));
        self.pure = false;
        let name = self.functions.len();
        self.functions.push(parameters);
        let early = vec![line(format!("return (int64){early}"))];
        let lines = vec![block(format!("if ({condition})"), early), line(format!("return (int64){late}"))];
        block(format!("fn f{name}({}) : int64", texts.join(", ")), lines)
    }

    fn probe(&mut self) -> Node {
        self.place = &PLACES[self.below(PLACES.len())];
        self.variables.clear();
        self.depth = 0;
        self.loops = 0;
        let condition = match self.below(4) {
            0 => format!(" /{}/", self.bool(2)),
            _ => String::new(),
        };
        let mut lines = Vec::new();
        for _ in 0..if self.large { 4 + self.below(30) } else { 3 + self.below(5) } {
            lines.push(self.let_());
        }
        lines.extend(self.lines());
        block(format!("{}{condition}", self.place.attach), lines)
    }

    /// The lines of a block, whose variables go with it.
    fn lines(&mut self) -> Vec<Node> {
        let outside = self.variables.len();
        self.depth += 1;
        let count = match (self.large, self.depth) {
            (true, 1) => 8 + self.below(20),
            (true, _) => 1 + self.below(6),
            (false, _) => 1 + self.below(6),
        };
        let lines = (0..count).flat_map(|_| self.statement()).collect();
        self.depth -= 1;
        self.variables.truncate(outside);
        lines
    }

    fn let_(&mut self) -> Node {
        let ty = self.type_(2);
        let mut value = self.value(&ty, 2);
        if self.below(8) == 0 {
            let (inner, number) = (self.name(), self.int(1));
            value = format!("{{ {inner} = (int64){number}; _ = {inner}; {value} }}");
        }
        let name = self.name();
        self.variables.push((name.clone(), ty.clone()));
        match (&ty, self.below(3)) {
            (Type::Int(_) | Type::Text(_), 0) => line(format!("let {name} : {} = {value}", written(&ty))),
            (Type::Text(_), _) => line(format!("let {name} : {} = {value}", written(&ty))),
            (_, 1) => line(format!("let {name} = {value}")),
            _ => line(format!("{name} = {value}")),
        }
    }

    fn statement(&mut self) -> Vec<Node> {
        let nested = self.depth < if self.large { 5 } else { 4 };
        let node = match self.below(if nested { SIMPLE + 13 } else { SIMPLE }) {
            0..3 => self.let_(),
            3..6 => self.assign(),
            6..9 => self.store(),
            9 | 10 => line(self.aggregate()),
            11 => line(self.delete()),
            12 | 13 => line(self.printf()),
            14 | 15 => {
                let ty = self.type_(2);
                line(format!("print(({}))", self.value(&ty, 2)))
            }
            16 => line(self.print_other()),
            17 => line(self.key_other()),
            18 => {
                let ty = self.type_(1);
                line(format!("_ = {}", self.value(&ty, 2)))
            }
            19 => line(format!("{}++", self.int_place())),
            20 if self.macros > 0 => {
                let Some(name) = self.variable(&Type::Int("int64")) else { return Vec::new() };
                let (index, value) = (self.below(self.macros), self.int(2));
                let into = self.name();
                self.variables.push((into.clone(), Type::Int("int64")));
                line(format!("{into} = m{index}({name}, {value})"))
            }
            20 | 21 => {
                let (place, op, value) = (self.int_place(), self.one_of(OPERATORS), self.operand(2));
                line(format!("{place} {op}= {value}"))
            }
            22..25 => return self.chain(),
            25 | 26 => {
                let name = self.name();
                let (from, to) = (self.below(5), self.below(60));
                let to = if self.below(3) == 0 { self.int(1) } else { (from + to).to_string() };
                self.variables.push((name.clone(), Type::Int("int64")));
                let node = self.looped(format!("for ({name} : {from}..{to})"));
                self.variables.retain(|(other, _)| *other != name);
                node
            }
            27 | 28 => {
                let maps: Vec<Map> = self.maps.iter().filter(|map| map.key.is_some()).cloned().collect();
                if maps.is_empty() {
                    return Vec::new();
                }
                let map = self.one_of(&maps);
                let name = self.name();
                let element = Type::Tuple(vec![map.key.expect("a key"), map.value]);
                self.variables.push((name.clone(), element));
                let node = self.looped(format!("for ({name} : {})", map.name));
                self.variables.retain(|(other, _)| *other != name);
                node
            }
            29 => {
                let count = 1 + self.below(4);
                block(format!("unroll ({count})"), self.lines())
            }
            30 | 31 => {
                let condition = self.bool(2);
                self.looped(format!("while ({condition})"))
            }
            32 => {
                let maps: Vec<Map> = self.maps.iter().filter(|map| map.key.is_some()).cloned().collect();
                if maps.is_empty() {
                    return Vec::new();
                }
                let map = self.one_of(&maps);
                let key = self.value(&map.key.expect("a key"), 1);
                let name = self.name();
                let outside = self.variables.len();
                self.variables.push((name.clone(), map.value));
                let lines = self.lines();
                self.variables.truncate(outside);
                block(format!("if (find({}, {key}, {name}))", map.name), lines)
            }
            _ => {
                let condition = self.bool(1);
                let words: &[&str] =
                    if self.loops > 0 { &["break", "continue", "return"] } else { &["return"] };
                block(format!("if ({condition})"), vec![line(self.one_of(words).to_owned())])
            }
        };
        vec![node]
    }

    fn looped(&mut self, text: String) -> Node {
        self.loops += 1;
        let lines = self.lines();
        self.loops -= 1;
        block(text, lines)
    }

    /// `if`, perhaps many `else if`, and perhaps `else`.
    fn chain(&mut self) -> Vec<Node> {
        let arms = if self.large && self.depth < 3 && self.below(4) == 0 {
            10 + self.below(30)
        } else {
            1 + self.below(3)
        };
        let mut nodes = Vec::new();
        for arm in 0..arms {
            let condition = self.bool(2);
            let word = if arm == 0 { "if" } else { "else if" };
            let lines = if arms > 3 { vec![self.store(), self.assign()] } else { self.lines() };
            nodes.push(block(format!("{word} ({condition})"), lines));
        }
        if self.below(2) == 0 {
            nodes.push(block("else".to_owned(), self.lines()));
        }
        nodes
    }

    fn assign(&mut self) -> Node {
        // Elements of loops and what functions are given stay what they are.
        let mut variables = self.variables.clone();
        variables.retain(|(_, ty)| !matches!(ty, Type::Tuple(_)));
        if variables.is_empty() {
            return self.store();
        }
        let (name, ty) = self.one_of(&variables);
        line(format!("{name} = {}", self.value(&ty, 3)))
    }

    fn store(&mut self) -> Node {
        let map = self.one_of(&self.maps.clone());
        let value = self.value(&map.value, 2);
        match &map.key {
            Some(key) => line(format!("{}[{}] = {value}", map.name, self.value(key, 1))),
            None => line(format!("{} = {value}", map.name)),
        }
    }

    fn aggregate(&mut self) -> String {
        let number = self.int(2);
        let kind = self.below(10);
        let call = match kind {
            0 => "count()".to_owned(),
            1 => format!("sum({number})"),
            2 => format!("avg({number})"),
            3 => format!("min({number})"),
            4 => format!("max({number})"),
            5 => format!("stats({number})"),
            6 => format!("hist({number})"),
            7 => format!("hist({number}, 3)"),
            8 => format!("lhist({number}, 0, 1000, 10)"),
            _ => format!("tseries({number}, 1s, 10)"),
        };
        // A map for each function and key, so that all uses agree.
        match self.below(6) {
            0 => format!("@a{kind} = {call}"),
            1 => format!("@b{kind}[{}] = {call}", self.value(&Type::Text(1024), 1)),
            2 => {
                let ty = Type::Tuple(vec![Type::Int("int64"), Type::Text(64), Type::Bool]);
                format!("@c{kind}[{}] = {call}", self.value(&ty, 1))
            }
            3 => format!("@d{kind}[{}] = {call}", self.value(&Type::Struct("wide"), 1)),
            4 => format!("@e{kind}[{}] = {call}", self.value(&Type::Array("int32", 6), 1)),
            _ => format!("@f{kind}[{}, {}] = {call}", self.int(1), self.value(&Type::Enum, 1)),
        }
    }

    fn delete(&mut self) -> String {
        let map = self.one_of(&self.maps.clone());
        match (&map.key, self.below(4)) {
            (Some(key), 0) => format!("delete({}, {})", map.name, self.value(key, 1)),
            (Some(_), 1) => format!("print({}, 5)", map.name),
            (_, 2) => format!("clear({})", map.name),
            _ => format!("print({})", map.name),
        }
    }

    fn printf(&mut self) -> String {
        let mut format = String::new();
        let mut values = Vec::new();
        for _ in 0..1 + self.below(if self.large { 12 } else { 6 }) {
            let (conversion, value) = match self.below(9) {
                0 => ("%d", self.int(2)),
                1 => ("%-20s", self.value(&Type::Text(1024), 1)),
                2 => ("%lx", self.int(2)),
                3 => ("%s", self.bool(1)),
                4 => ("%s", self.value(&Type::Enum, 1)),
                5 => ("%s", format!("ntop({})", self.int(1))),
                6 => match self.address() {
                    Some(address) => ("%r", format!("buf({address}, {})", 1 + self.below(300))),
                    None => ("%s", "comm".to_owned()),
                },
                7 => ("%p", format!("(void *){}", self.value(&Type::Task, 1))),
                _ => ("%s", format!("strftime(\"%H\", {})", "nsecs")),
            };
            format += conversion;
            format.push(' ');
            values.push(value);
        }
        format!("printf(\"{format}\\n\", {})", values.join(", "))
    }

    fn print_other(&mut self) -> String {
        match self.below(6) {
            0 if !self.place.others.is_empty() => format!("print({})", self.one_of(self.place.others)),
            1 => "time(\"%H:%M\\n\")".to_owned(),
            2 => format!("print(strerror({}))", self.int(1)),
            3 => "print(cgroup_path(cgroup))".to_owned(),
            4 => "cat(\"/proc/%d/comm\", pid)".to_owned(),
            _ => format!("print(({}, ksym({})))", self.int(1), self.int(1)),
        }
    }

    /// Other values as keys and elements.
    fn key_other(&mut self) -> String {
        if self.place.others.is_empty() {
            return "@username[username] = count()".to_owned();
        }
        let index = self.below(self.place.others.len());
        let other = self.place.others[index];
        let at =
            self.place.attach.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte)) % 10_000;
        match self.below(3) {
            0 => format!("@o{at}_{index}[{other}] = count()"),
            1 => {
                format!("@p{at}_{index}[{other}, {}] = sum({})", self.value(&Type::Text(64), 1), self.int(1))
            }
            _ => format!("@q{at}_{index}[{}] = {other}", self.int(1)),
        }
    }
}

/// How a type is written.
fn written(ty: &Type) -> String {
    match ty {
        Type::Int(name) => (*name).to_owned(),
        Type::Text(capacity) => format!("string[{capacity}]"),
        Type::Bool => "bool".to_owned(),
        Type::Tuple(_) | Type::Record(_) | Type::Array(..) | Type::Struct(_) | Type::Enum | Type::Task => {
            unreachable!("declared without a type")
        }
    }
}
