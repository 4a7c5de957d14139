//! C definitions in front of a script: `#include` and `#define`, and declarations of types.
//!
//! Reads what C's own headers and tracing scripts write: structs, unions and enums, nested and anonymous, with bit-fields, arrays,
//! pointers, function pointers and attributes, and typedefs. Conditionals are resolved before (`conditional.rs`). Nothing is laid
//! out, and no name is looked up. An error skips the definition that it is in.

use std::ops::Range;

use crate::ast::*;
use crate::error::{ErrorKind, SyntaxError};
use crate::lexer::word;
use crate::parse::expression;
use crate::source::Span;
use crate::token::Token;
use crate::type_name::{is_c_word, spell};

/// Structs within structs, and brackets around a declared name.
const MAX_DEPTH: u32 = 64;

/// Reads the line `line` of `text`, which begins with `#`. Returns what it defines, or the macro that it makes undefined.
pub(crate) fn directive<'s>(
    text: &'s str,
    line: Range<usize>,
    base: u32,
    errors: &mut Vec<SyntaxError>,
) -> (Option<CDef>, Option<&'s str>) {
    let end = line.start + text[line.clone()].trim_end().len();
    let span = Span::new(base + line.start as u32, base + end as u32);
    let behind = text[line.start + 1..end].trim_start();
    let name = word(behind);
    let rest = behind[name.len()..].trim_start();
    let mut wrong = |kind| {
        errors.push(SyntaxError::new(kind, span));
        (None, None)
    };
    match name {
        "include" => {
            let path = |open, close| rest.strip_prefix(open).and_then(|path: &str| path.split_once(close));
            let (path, system) = match (path('<', '>'), path('"', '"')) {
                (Some((path, _)), _) => (path, true),
                (None, Some((path, _))) => (path, false),
                (None, None) => return wrong(ErrorKind::DirectiveName("include")),
            };
            let kind = CDefKind::Include { path: path.into(), system };
            (Some(CDef { kind, span, lenient: false }), None)
        }
        "define" => {
            let name = word(rest);
            if name.is_empty() {
                return wrong(ErrorKind::DirectiveName("define"));
            }
            let start = base + (end - rest.len()) as u32;
            let ident = Ident { name: name.into(), span: Span::new(start, start + name.len() as u32) };
            let mut body = &rest[name.len()..];
            let mut params = None;
            // Only a bracket that touches the name opens parameters.
            if let Some(list) = body.strip_prefix('(') {
                let Some((list, behind)) = list.split_once(')') else { return wrong(ErrorKind::MacroParams) };
                let Some(names) = macro_params(list) else { return wrong(ErrorKind::MacroParams) };
                params = Some(names);
                body = behind;
            }
            let body = body.trim();
            let (whole, at) = (&text[..end], end - body.len());
            let value = expression(whole, at, base, &mut Vec::new()).or_else(|| type_name(whole, at, base));
            let define = Define { name: ident, params, body: body.into(), value };
            (Some(CDef { kind: CDefKind::Define(define), span, lenient: false }), None)
        }
        "undef" => match word(rest) {
            "" => wrong(ErrorKind::DirectiveName("undef")),
            name => (None, Some(name)),
        },
        "error" => wrong(ErrorKind::ErrorDirective(rest.into())),
        "" | "pragma" | "warning" | "line" => (None, None),
        other => wrong(ErrorKind::Directive(other.into())),
    }
}

/// The type that is all of `text` from `at` on, as an expression.
fn type_name(text: &str, at: usize, base: u32) -> Option<Expr> {
    let mut errors = Vec::new();
    let mut parser = Parser::new(text, at, base, &mut errors);
    let (ty, _) = parser.specifier().ok()?;
    let (name, ty) = parser.declarator(&ty).ok()?;
    let span = ty.span;
    (name.is_none() && parser.token.is_none()).then_some(Expr { kind: ExprKind::Type(ty), span })
}

/// True if `definition` is a macro of this name.
pub(crate) fn defines(definition: &CDef, name: &str) -> bool {
    matches!(&definition.kind, CDefKind::Define(define) if define.name.name == name)
}

fn macro_params(list: &str) -> Option<Vec<String>> {
    if list.trim().is_empty() {
        return Some(Vec::new());
    }
    let param = |name: &str| {
        let name = name.trim();
        (name == "..." || !name.is_empty() && word(name) == name).then(|| name.to_string())
    };
    list.split(',').map(param).collect()
}

/// Reads the declaration at `at`, which begins with `struct`, `union`, `enum` or `typedef`; returns where it ends.
pub(crate) fn declaration(
    text: &str,
    at: usize,
    base: u32,
    definitions: &mut Vec<CDef>,
    errors: &mut Vec<SyntaxError>,
) -> usize {
    let mut parser = Parser::new(text, at, base, errors);
    match parser.declaration(definitions) {
        Ok(()) => parser.end,
        Err(Reported) => skip(text, at),
    }
}

/// Where a declaration that is wrong seems to end: at a `;` or a `}` outside of all braces.
pub(crate) fn skip(text: &str, at: usize) -> usize {
    let mut parser_errors = Vec::new();
    let mut parser = Parser::new(text, at, 0, &mut parser_errors);
    let mut depth = 0u32;
    loop {
        match parser.next() {
            Token::LBrace => depth += 1,
            Token::RBrace if depth > 1 => depth -= 1,
            Token::RBrace => {
                if parser.token == Some(Token::Semicolon) {
                    parser.next();
                }
                return parser.end;
            }
            Token::Semicolon if depth == 0 => return parser.end,
            _ => {}
        }
        if parser.token.is_none() {
            return text.len();
        }
    }
}

/// The error is in the list already.
struct Reported;

struct Parser<'s, 'e> {
    text: &'s str,
    base: u32,
    lexer: logos::Lexer<'s, Token<'s>>,
    /// The next token; `None` at the end of the text.
    token: Option<Token<'s>>,
    /// Where the next token begins.
    start: usize,
    /// Where the one before it ended.
    end: usize,
    depth: u32,
    errors: &'e mut Vec<SyntaxError>,
}

/// What stands around a declared name, from the type outwards.
enum Derived {
    Pointer,
    Array(Option<Box<Expr>>),
    Function,
}

impl<'s, 'e> Parser<'s, 'e> {
    fn new(text: &'s str, at: usize, base: u32, errors: &'e mut Vec<SyntaxError>) -> Parser<'s, 'e> {
        let mut lexer = logos::Lexer::new(text);
        lexer.bump(at);
        let mut parser = Parser { text, base, lexer, token: None, start: at, end: at, depth: 0, errors };
        parser.next();
        parser.end = at;
        parser
    }

    /// Takes the next token; [`Token::Error`] at the end.
    fn next(&mut self) -> Token<'s> {
        let token = self.token;
        self.end = self.lexer.span().end;
        self.token = self.lexer.next().map(|token| token.unwrap_or(Token::Error));
        self.start = self.lexer.span().start;
        token.unwrap_or(Token::Error)
    }

    fn take(&mut self, token: Token<'_>) -> bool {
        let found = self.token == Some(token);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, token: Token<'_>, shown: &str) -> Result<(), Reported> {
        if self.take(token) { Ok(()) } else { self.unexpected(&[shown]) }
    }

    fn unexpected<T>(&mut self, expected: &[&str]) -> Result<T, Reported> {
        let end = self.lexer.span().end;
        let found = match self.token {
            Some(_) => format!("`{}`", &self.text[self.start..end]),
            None => "end of text".into(),
        };
        let expected = expected.iter().map(|&name| name.into()).collect();
        let span = self.span(self.start, end);
        self.errors.push(SyntaxError::new(ErrorKind::Unexpected { found, expected, help: None }, span));
        Err(Reported)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.base + start as u32, self.base + end as u32)
    }

    /// From `start` to the token that was taken last.
    fn since(&self, start: usize) -> Span {
        self.span(start, self.end.max(start))
    }

    fn declaration(&mut self, definitions: &mut Vec<CDef>) -> Result<(), Reported> {
        let start = self.start;
        if self.token == Some(Token::Ident("typedef")) {
            self.next();
            let (ty, _) = self.specifier()?;
            loop {
                let (name, ty) = self.declarator(&ty)?;
                let Some(name) = name else { return self.unexpected(&["a name"]) };
                self.attributes()?;
                let kind = CDefKind::Typedef { name, ty };
                definitions.push(CDef { kind, span: self.since(start), lenient: false });
                if !self.take(Token::Comma) {
                    break;
                }
            }
            return self.expect(Token::Semicolon, "`;`");
        }
        let Some(tag) = self.tag() else { return self.unexpected(&["`struct`", "`union`", "`enum`"]) };
        let mut def = self.type_def(tag, start)?;
        if let TypeBody::Opaque = def.body
            && def.name.is_none()
        {
            return self.unexpected(&["a name", "`{`"]);
        }
        let behind = self.attributes()?;
        merge(&mut def.attributes, behind);
        def.span = self.since(start);
        if let TypeBody::Opaque = def.body {
            self.expect(Token::Semicolon, "`{`")?;
        } else {
            // Scripts leave it out, and get away with it.
            self.take(Token::Semicolon);
        }
        let span = self.since(start);
        definitions.push(CDef { kind: CDefKind::Type(def), span, lenient: false });
        Ok(())
    }

    fn tag(&mut self) -> Option<Tag> {
        let tag = match self.token? {
            Token::Struct => Tag::Struct,
            Token::Union => Tag::Union,
            Token::Enum => Tag::Enum,
            _ => return None,
        };
        self.next();
        Some(tag)
    }

    /// What follows a tag, up to the closing brace.
    fn type_def(&mut self, tag: Tag, start: usize) -> Result<TypeDef, Reported> {
        let mut attributes = self.attributes()?;
        let name = self.name();
        merge(&mut attributes, self.attributes()?);
        let body = if self.token == Some(Token::LBrace) {
            self.enter()?;
            self.next();
            let body = match tag {
                Tag::Struct | Tag::Union => TypeBody::Members(self.members()?),
                Tag::Enum => TypeBody::Enumerators(self.enumerators()?),
            };
            self.depth -= 1;
            body
        } else {
            TypeBody::Opaque
        };
        Ok(TypeDef { span: self.since(start), tag, name, body, attributes })
    }

    fn enter(&mut self) -> Result<(), Reported> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.errors.push(SyntaxError::new(ErrorKind::TooDeep, self.span(self.start, self.start + 1)));
            return Err(Reported);
        }
        Ok(())
    }

    /// A name; words that are keywords in scripts are names in C.
    fn name(&mut self) -> Option<Ident> {
        let token = self.token?;
        let c_keyword = matches!(token, Token::Struct | Token::Union | Token::Enum);
        if c_keyword || !token.is_keyword() && !matches!(token, Token::Ident(_)) {
            return None;
        }
        let start = self.start;
        self.next();
        Some(Ident { name: self.text[start..self.end].into(), span: self.since(start) })
    }

    fn members(&mut self) -> Result<Vec<Member>, Reported> {
        let mut members = Vec::new();
        while !self.take(Token::RBrace) {
            if self.take(Token::Semicolon) {
                continue;
            }
            let start = self.start;
            let (ty, attributes) = self.specifier()?;
            if self.token == Some(Token::Semicolon) && matches!(ty.kind, TypeExprKind::Inline(_)) {
                members.push(Member { span: ty.span, name: None, ty, bits: None, attributes });
                continue;
            }
            loop {
                let (name, ty) = self.declarator(&ty)?;
                let mut attributes = attributes;
                let bits = if self.take(Token::Colon) { Some(self.expression()?) } else { None };
                if name.is_none() && bits.is_none() {
                    return self.unexpected(&["the name of a member"]);
                }
                merge(&mut attributes, self.attributes()?);
                members.push(Member { span: self.since(start), name, ty, bits, attributes });
                if !self.take(Token::Comma) {
                    break;
                }
            }
            // As C's compilers do, it does without the last one.
            if self.token != Some(Token::RBrace) {
                self.expect(Token::Semicolon, "`;`")?;
            }
        }
        Ok(members)
    }

    fn enumerators(&mut self) -> Result<Vec<Enumerator>, Reported> {
        let mut enumerators = Vec::new();
        while !self.take(Token::RBrace) {
            let Some(name) = self.name() else { return self.unexpected(&["a name", "`}`"]) };
            self.attributes()?;
            let value = if self.take(Token::Assign) { Some(self.expression()?) } else { None };
            enumerators.push(Enumerator { name, value });
            if self.token != Some(Token::RBrace) {
                self.expect(Token::Comma, "`,`")?;
            }
        }
        Ok(enumerators)
    }

    /// The type that several declared names share, and the attributes around it.
    fn specifier(&mut self) -> Result<(TypeExpr, Attributes), Reported> {
        let mut attributes = self.qualifiers()?;
        let start = self.start;
        if let Some(tag) = self.tag() {
            let def = self.type_def(tag, start)?;
            let span = def.span;
            let kind = match (def.body, def.name) {
                (TypeBody::Opaque, Some(name)) => TypeExprKind::Tagged { tag, name },
                (TypeBody::Opaque, None) => return self.unexpected(&["a name", "`{`"]),
                (body, name) => TypeExprKind::Inline(Box::new(TypeDef { body, name, ..def })),
            };
            merge(&mut attributes, self.qualifiers()?);
            return Ok((TypeExpr { kind, span }, attributes));
        }
        let mut words = Vec::new();
        while let Some(Token::Ident(word)) = self.token {
            // A name that is not one of C's own words is a whole type.
            if !words.is_empty() && !is_c_word(word) {
                break;
            }
            words.push(word);
            self.next();
            let end = self.end;
            merge(&mut attributes, self.qualifiers()?);
            if !is_c_word(word) {
                break;
            }
            // The span does not take in what is behind the last word.
            if !matches!(self.token, Some(Token::Ident(word)) if is_c_word(word)) {
                let span = self.span(start, end);
                return self.named(&words, span).map(|ty| (ty, attributes));
            }
        }
        if words.is_empty() {
            return self.unexpected(&["a type", "`}`"]);
        }
        let span = self.span(start, start + words[0].len());
        self.named(&words, span).map(|ty| (ty, attributes))
    }

    fn named(&mut self, words: &[&str], span: Span) -> Result<TypeExpr, Reported> {
        match spell(words) {
            Some(name) => Ok(TypeExpr { kind: TypeExprKind::Named(name), span }),
            None => {
                self.errors.push(SyntaxError::new(ErrorKind::TypeWords(words.join(" ")), span));
                Err(Reported)
            }
        }
    }

    /// A name with what is around it: `*name[4]`, `(*name)(int)`. Both the name and the rest may be absent.
    fn declarator(&mut self, ty: &TypeExpr) -> Result<(Option<Ident>, TypeExpr), Reported> {
        let (name, derived) = self.derived()?;
        let mut ty = ty.clone();
        for step in derived {
            let span = Span::new(ty.span.start, self.base + self.end as u32);
            let kind = match step {
                Derived::Pointer => TypeExprKind::Pointer(Box::new(ty)),
                Derived::Array(len) => TypeExprKind::Array { element: Box::new(ty), len },
                Derived::Function => TypeExprKind::Function,
            };
            ty = TypeExpr { kind, span };
        }
        Ok((name, ty))
    }

    fn derived(&mut self) -> Result<(Option<Ident>, Vec<Derived>), Reported> {
        let mut derived = Vec::new();
        self.qualifiers()?;
        while self.take(Token::Star) {
            self.qualifiers()?;
            derived.push(Derived::Pointer);
        }
        let mut inner = Vec::new();
        let name = if self.token == Some(Token::LParen) {
            self.enter()?;
            self.next();
            let (name, around) = self.derived()?;
            self.expect(Token::RParen, "`)`")?;
            self.depth -= 1;
            inner = around;
            name
        } else {
            self.name()
        };
        // `a[2][3]` is two of three: the last one is the innermost.
        let mut suffixes = Vec::new();
        loop {
            if self.take(Token::LBracket) {
                let len = match self.token {
                    Some(Token::RBracket) => None,
                    _ => Some(Box::new(self.expression()?)),
                };
                self.expect(Token::RBracket, "`]`")?;
                suffixes.push(Derived::Array(len));
            } else if self.take(Token::LParen) {
                self.skip_parameters()?;
                suffixes.push(Derived::Function);
            } else {
                break;
            }
        }
        derived.extend(suffixes.into_iter().rev());
        derived.extend(inner);
        if derived.len() > MAX_DEPTH as usize {
            self.errors.push(SyntaxError::new(ErrorKind::TooDeep, self.span(self.start, self.start)));
            return Err(Reported);
        }
        Ok((name, derived))
    }

    fn skip_parameters(&mut self) -> Result<(), Reported> {
        let mut open = 1;
        while open > 0 {
            match self.token {
                Some(Token::LParen) => open += 1,
                Some(Token::RParen) => open -= 1,
                Some(Token::Semicolon | Token::LBrace | Token::RBrace) | None => {
                    return self.unexpected(&["`)`"]);
                }
                Some(_) => {}
            }
            self.next();
        }
        Ok(())
    }

    /// Skips what says nothing about a layout; returns the attributes among it.
    fn qualifiers(&mut self) -> Result<Attributes, Reported> {
        let mut attributes = self.attributes()?;
        while let Some(Token::Ident(word)) = self.token
            && is_qualifier(word)
        {
            self.next();
            merge(&mut attributes, self.attributes()?);
        }
        Ok(attributes)
    }

    fn attributes(&mut self) -> Result<Attributes, Reported> {
        let mut attributes = Attributes::default();
        while let Some(Token::Ident(word)) = self.token {
            match word {
                "__attribute__" | "__attribute" => {
                    self.next();
                    self.expect(Token::LParen, "`((`")?;
                    self.expect(Token::LParen, "`((`")?;
                    while !self.take(Token::RParen) {
                        if !self.take(Token::Comma) {
                            self.attribute(&mut attributes)?;
                        }
                    }
                    self.expect(Token::RParen, "`))`")?;
                }
                "__packed" | "__aligned" => self.attribute(&mut attributes)?,
                _ => break,
            }
        }
        Ok(attributes)
    }

    fn attribute(&mut self, attributes: &mut Attributes) -> Result<(), Reported> {
        let Some(name) = self.name() else { return self.unexpected(&["the name of an attribute", "`))`"]) };
        let aligned = matches!(name.name.as_str(), "aligned" | "__aligned__" | "__aligned");
        match name.name.as_str() {
            "packed" | "__packed__" | "__packed" => attributes.packed = true,
            // Without a number: the largest alignment of the machine.
            _ if aligned => attributes.aligned = Some(16),
            _ => {}
        }
        if self.take(Token::LParen) {
            if aligned {
                let value = self.expression()?;
                let ExprKind::Int { value, .. } = value.kind else {
                    let expected = vec!["a number".into()];
                    let found = "alignment".into();
                    let kind = ErrorKind::Unexpected { found, expected, help: None };
                    self.errors.push(SyntaxError::new(kind, value.span));
                    return Err(Reported);
                };
                attributes.aligned = Some(value);
                self.expect(Token::RParen, "`)`")?;
            } else {
                self.skip_parameters()?;
            }
        }
        Ok(())
    }

    /// An expression, which ends in front of a `,`, a `;`, a closing bracket or an attribute.
    fn expression(&mut self) -> Result<Expr, Reported> {
        let start = self.start;
        let mut open = 0u32;
        loop {
            match self.token {
                Some(Token::LParen | Token::LBracket) => open += 1,
                Some(Token::RParen | Token::RBracket) if open > 0 => open -= 1,
                Some(Token::RParen | Token::RBracket) => break,
                Some(Token::Comma) if open == 0 => break,
                Some(Token::Semicolon | Token::LBrace | Token::RBrace) | None => break,
                Some(Token::Ident("__attribute__")) => break,
                Some(_) => {}
            }
            self.next();
        }
        if self.end <= start || self.start == start {
            return self.unexpected(&["an expression"]);
        }
        expression(&self.text[..self.end], start, self.base, self.errors).ok_or(Reported)
    }
}

fn merge(attributes: &mut Attributes, more: Attributes) {
    attributes.packed |= more.packed;
    attributes.aligned = attributes.aligned.max(more.aligned);
}

fn is_qualifier(word: &str) -> bool {
    matches!(
        word,
        "const"
            | "volatile"
            | "restrict"
            | "__restrict"
            | "__extension__"
            | "__user"
            | "__kernel"
            | "__rcu"
            | "__percpu"
            | "__iomem"
            | "__randomize_layout"
            | "____cacheline_aligned"
            | "____cacheline_aligned_in_smp"
    )
}
