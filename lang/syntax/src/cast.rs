//! The one question that no grammar of one token can answer: does a `(` open a type, or an expression?
//!
//! `(struct x *)`, `(uint8)` and `(a b)` can only be types. `(name)` is a cast where an operand follows that cannot follow an
//! expression: `(x) y` casts, `(x) - y` subtracts. Behind `sizeof` and its like nothing follows, so a bare name is an
//! expression there, and what it means is settled later.

use crate::lexer::MAX_DEPTH;
use crate::token::Token;
use crate::type_name::is_type_name;

/// Whether the `(` behind `previous` opens a type; `ahead` continues behind it.
pub(crate) fn opens_type<'s>(previous: Token<'s>, mut ahead: logos::Lexer<'s, Token<'s>>) -> bool {
    let operator = matches!(previous, Token::Sizeof | Token::Offsetof | Token::Typeof | Token::Typeinfo);
    if let Token::Ident(_) = previous {
        return false;
    }
    let mut certain = true;
    let mut token;
    match next_type_token(&mut ahead) {
        Token::Struct | Token::Union | Token::Enum => {
            let Token::Ident(_) = next_type_token(&mut ahead) else { return false };
            token = next_type_token(&mut ahead);
        }
        Token::Typeof => {
            token = next_type_token(&mut ahead);
            if token != Token::LParen || !skip_brackets(&mut ahead) {
                return false;
            }
            token = next_type_token(&mut ahead);
        }
        Token::Ident(name) => {
            certain = is_type_name(name);
            token = next_type_token(&mut ahead);
            while let Token::Ident(_) = token {
                certain = true;
                token = next_type_token(&mut ahead);
            }
        }
        _ => return false,
    }
    loop {
        match token {
            Token::Star => certain = true,
            Token::LBracket if skip_brackets(&mut ahead) => {}
            _ => break,
        }
        token = next_type_token(&mut ahead);
    }
    match token {
        Token::RParen if operator => certain,
        Token::RParen => certain || starts_operand(next_type_token(&mut ahead)),
        Token::Comma => certain && previous == Token::Offsetof,
        _ => false,
    }
}

fn next_type_token<'s>(ahead: &mut logos::Lexer<'s, Token<'s>>) -> Token<'s> {
    loop {
        match ahead.next() {
            Some(Ok(Token::Ident("const" | "volatile"))) => {}
            Some(Ok(token)) => return token,
            Some(Err(())) | None => return Token::Error,
        }
    }
}

/// Skips to behind the bracket that closes the one just read; false if there is none.
fn skip_brackets<'s>(ahead: &mut logos::Lexer<'s, Token<'s>>) -> bool {
    let mut open = 1;
    while open > 0 {
        match next_type_token(ahead) {
            // What is nested deeper is refused later; here it would only cost time.
            Token::LParen | Token::LBracket if open > MAX_DEPTH => return false,
            Token::LParen | Token::LBracket => open += 1,
            Token::RParen | Token::RBracket => open -= 1,
            Token::Error | Token::Semicolon | Token::LBrace | Token::RBrace => return false,
            _ => {}
        }
    }
    true
}

/// True for tokens that can only begin an operand. `-`, `*` and `&` also stand between two.
fn starts_operand(token: Token<'_>) -> bool {
    matches!(
        token,
        Token::Ident(_)
            | Token::Variable(_)
            | Token::Map(_)
            | Token::Positional(_)
            | Token::PositionalCount
            | Token::Int(_)
            | Token::String(_)
            | Token::LParen
            | Token::Not
            | Token::Tilde
            | Token::True
            | Token::False
            | Token::Sizeof
            | Token::Offsetof
            | Token::Typeinfo
    )
}
