//! From text to a tree of actions.

use std::mem;

use super::Defined;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Text(String),
    /// A pipeline, printed unless it declares or assigns a variable.
    Print(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Call(String, Option<Pipeline>),
    Break,
    Continue,
}

/// Commands, each given to the next one as its last argument, after variables that take the result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) variables: Vec<String>,
    pub(crate) declares: bool,
    pub(crate) commands: Vec<Vec<Operand>>,
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
    Nil,
    Function(String),
    /// The dot with fields.
    Dot(Vec<String>),
    /// A variable with fields; the root `$` is the empty name.
    Variable(String, Vec<String>),
    /// A pipeline in parentheses with fields.
    Nested(Pipeline, Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// `.a.b`, or `.` alone.
    Path(Vec<String>),
    Variable(String, Vec<String>),
    Text(String),
    Number(serde_json::Number),
    Open,
    /// A closing parenthesis with the fields behind it.
    Close(Vec<String>),
    Pipe,
    Comma,
    Declare,
    Assign,
}

/// The nodes of a text, and the templates it defines.
pub(super) fn parse(text: &str) -> Result<(Vec<Node>, Defined), String> {
    let mut parser = Parser {
        pieces: split(text)?,
        at: 0,
        defined: Defined::new(),
    };
    let (nodes, end) = parser.block()?;
    match end {
        None => Ok((nodes, parser.defined)),
        Some(end) => Err(format!("unexpected {{{{{}}}}}", end.word)),
    }
}

enum Piece {
    Text(String),
    Action(String),
}

/// Texts and actions, with the trim markers applied.
fn split(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    loop {
        let start = rest.find("{{");
        let mut plain = &rest[..start.unwrap_or(rest.len())];
        if trim_next {
            plain = plain.trim_start();
        }
        let Some(start) = start else {
            pieces.push(Piece::Text(plain.to_owned()));
            return Ok(pieces);
        };
        let mut inside = &rest[start + 2..];
        if let Some(trimmed) = inside
            .strip_prefix('-')
            .filter(|t| t.starts_with(char::is_whitespace))
        {
            plain = plain.trim_end();
            inside = trimmed;
        }
        pieces.push(Piece::Text(plain.to_owned()));
        let end = action_end(inside).ok_or("unclosed action")?;
        let mut action = inside[..end].trim_start();
        trim_next = action.ends_with('-')
            && (action.trim_end_matches('-').ends_with(char::is_whitespace)
                || action.trim_end_matches('-').ends_with("*/"));
        if trim_next {
            action = &action[..action.len() - 1];
        }
        pieces.push(Piece::Action(action.trim().to_owned()));
        rest = &inside[end + 2..];
    }
}

/// Where an action's `}}` begins; those in strings and comments do not count.
fn action_end(text: &str) -> Option<usize> {
    if text.trim_start().starts_with("/*") {
        let comment = text.find("*/")?;
        return text[comment..].find("}}").map(|at| comment + at);
    }
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"'), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'`')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

struct Parser {
    pieces: Vec<Piece>,
    at: usize,
    defined: Defined,
}

/// An `end` or `else` that closes a block.
struct End {
    word: String,
    rest: String,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Option<End>), String> {
        let mut nodes = Vec::new();
        while self.at < self.pieces.len() {
            self.at += 1;
            let action = match &mut self.pieces[self.at - 1] {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(mem::take(text)));
                    }
                    continue;
                }
                Piece::Action(action) => mem::take(action),
            };
            if action.is_empty() || action.starts_with("/*") {
                continue;
            }
            let (word, rest) = action
                .split_once(char::is_whitespace)
                .unwrap_or((&action, ""));
            match word {
                "end" | "else" => {
                    let end = End {
                        word: word.to_owned(),
                        rest: rest.trim().to_owned(),
                    };
                    return Ok((nodes, Some(end)));
                }
                "if" | "with" | "range" => {
                    let node = self.control(word, rest)?;
                    nodes.push(node);
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "block" => {
                    let mut tokens = lex(rest)?;
                    let Some(Token::Text(name)) = tokens.first().cloned() else {
                        return Err(format!("{word} needs a name"));
                    };
                    let (body, end) = self.block()?;
                    expect_end(end)?;
                    self.defined.insert(name.clone(), body);
                    if word == "block" {
                        tokens.remove(0);
                        nodes.push(Node::Call(name, Some(pipeline(&tokens)?)));
                    }
                }
                "template" => {
                    let tokens = lex(rest)?;
                    let Some((Token::Text(name), arguments)) = tokens.split_first() else {
                        return Err("template needs a name".to_owned());
                    };
                    let data = if arguments.is_empty() {
                        None
                    } else {
                        Some(pipeline(arguments)?)
                    };
                    nodes.push(Node::Call(name.clone(), data));
                }
                _ => nodes.push(Node::Print(pipeline(&lex(&action)?)?)),
            }
        }
        Ok((nodes, None))
    }

    fn control(&mut self, word: &str, head: &str) -> Result<Node, String> {
        let head = pipeline(&lex(head)?)?;
        let (then, end) = self.block()?;
        let end = end.ok_or_else(|| format!("{word} without end"))?;
        let otherwise = match (end.word.as_str(), end.rest.split_once(char::is_whitespace)) {
            ("end", _) => Vec::new(),
            (_, Some((again @ ("if" | "with"), head))) => vec![self.control(again, head)?],
            _ => {
                let (otherwise, end) = self.block()?;
                expect_end(end)?;
                otherwise
            }
        };
        Ok(match word {
            "if" => Node::If(head, then, otherwise),
            "with" => Node::With(head, then, otherwise),
            _ => Node::Range(head, then, otherwise),
        })
    }
}

fn expect_end(end: Option<End>) -> Result<(), String> {
    match end {
        Some(end) if end.word == "end" => Ok(()),
        _ => Err("a block without end".to_owned()),
    }
}

fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            '=' => (Token::Assign, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '(' => (Token::Open, 1),
            ')' => {
                let (fields, length) = fields_of(&rest[1..]);
                (Token::Close(fields), 1 + length)
            }
            '"' => string(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or("unclosed string")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '$' => {
                let length = rest[1..]
                    .find(|c: char| !is_word(c))
                    .unwrap_or(rest.len() - 1);
                let (fields, more) = fields_of(&rest[1 + length..]);
                (
                    Token::Variable(rest[1..=length].to_owned(), fields),
                    1 + length + more,
                )
            }
            '.' => {
                let (fields, length) = fields_of(rest);
                (Token::Path(fields), length.max(1))
            }
            c if c.is_ascii_digit() || c == '-' || c == '+' => {
                let length = rest[1..]
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                    .unwrap_or(rest.len() - 1)
                    + 1;
                let number = rest[..length].trim_start_matches('+');
                let number = serde_json::from_str(number)
                    .map_err(|_| format!("bad number syntax: {number:?}"))?;
                (Token::Number(number), length)
            }
            c if is_word(c) => {
                let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
            c => return Err(format!("unexpected {c:?} in command")),
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `.a.b` at the beginning of a text, with its length.
fn fields_of(text: &str) -> (Vec<String>, usize) {
    let mut fields = Vec::new();
    let mut length = 0;
    while let Some(rest) = text[length..].strip_prefix('.') {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        fields.push(rest[..end].to_owned());
        length += 1 + end;
    }
    (fields, length)
}

fn string(text: &str) -> Result<(Token, usize), String> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                // Go's and JSON's escapes agree in what templates use.
                let value = serde_json::from_str(&text[..=at])
                    .map_err(|error| format!("bad string: {error}"))?;
                return Ok((Token::Text(value), at + 1));
            }
            _ => {}
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, String> {
    let mut variables = Vec::new();
    let mut declares = false;
    let mut rest = tokens;
    let sign = tokens
        .iter()
        .position(|token| matches!(token, Token::Declare | Token::Assign));
    if let Some(sign) = sign {
        declares = tokens[sign] == Token::Declare;
        for token in &tokens[..sign] {
            match token {
                Token::Variable(name, _) => variables.push(name.clone()),
                Token::Comma => {}
                _ => return Err("unexpected token before an assignment".to_owned()),
            }
        }
        rest = &tokens[sign + 1..];
    }
    let mut at = 0;
    let commands = commands(rest, &mut at)?;
    if at < rest.len() {
        return Err("unexpected right paren".to_owned());
    }
    Ok(Pipeline {
        variables,
        declares,
        commands,
    })
}

/// Commands up to the end or a closing parenthesis, which is left in place.
fn commands(tokens: &[Token], at: &mut usize) -> Result<Vec<Vec<Operand>>, String> {
    let mut commands = vec![Vec::new()];
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let operand = match token {
            Token::Pipe => {
                commands.push(Vec::new());
                continue;
            }
            Token::Close(_) => {
                *at -= 1;
                break;
            }
            Token::Open => {
                let nested = self::commands(tokens, at)?;
                let Some(Token::Close(fields)) = tokens.get(*at) else {
                    return Err("unclosed left paren".to_owned());
                };
                *at += 1;
                let nested = Pipeline {
                    variables: Vec::new(),
                    declares: false,
                    commands: nested,
                };
                Operand::Nested(nested, fields.clone())
            }
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Bool(true),
                "false" => Operand::Bool(false),
                "nil" => Operand::Nil,
                _ => Operand::Function(word.clone()),
            },
            Token::Path(fields) => Operand::Dot(fields.clone()),
            Token::Variable(name, fields) => Operand::Variable(name.clone(), fields.clone()),
            Token::Text(text) => Operand::Text(text.clone()),
            Token::Number(number) => Operand::Number(number.clone()),
            Token::Comma | Token::Declare | Token::Assign => {
                return Err("unexpected token in operand".to_owned());
            }
        };
        if let Some(command) = commands.last_mut() {
            command.push(operand);
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err("missing value for command".to_owned());
    }
    Ok(commands)
}
