//! Makes the operators of templates exact.
//!
//! minijinja calculates with integers and floats and lets no value take part in `+` or `<`. Before a template
//! is compiled, its operators are therefore written as calls of the functions in `arithmetic.rs`:
//! `facts.price * 2 > 10` becomes `__compare(__mul(facts.price, 2), ">", 10)`. Only text between operands
//! changes and no line break moves, so the lines of errors stay those of the author's template.

use minijinja::machinery::{tokenize, Token};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Text outside of tags, and the tags' delimiters.
    Outside,
    BlockStart,
    VariableStart,
    VariableEnd,
    Name,
    Text,
    /// A whole number.
    Number,
    /// A number with a point or an exponent; minijinja would make it a float.
    Float,
    Open,
    Close,
    Dot,
    Pipe,
    Compare(&'static str),
    Operator(&'static str),
    Minus,
    Tilde,
    /// `,` `:` `=`: ends an operand.
    Separator,
}

#[derive(Debug, Clone, Copy)]
struct Lexeme {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Names that end an operand or begin one of lower rank than a comparison.
const KEYWORDS: [&str; 7] = ["and", "or", "not", "if", "else", "in", "is"];

/// The template with exact operators. One that does not tokenize is returned as it is: compiling says why.
pub fn rewrite(source: &str) -> String {
    match lexemes(source) {
        Some(tokens) => Rewriter { source, tokens, at: 0 }.all(),
        None => source.to_owned(),
    }
}

/// The expression of a template that is exactly one `{{ expression }}`.
pub fn sole_expression(source: &str) -> Option<&str> {
    let tokens = lexemes(source)?;
    let (first, last) = (tokens.first()?, tokens.last()?);
    let whole = first.kind == Kind::VariableStart
        && first.start == 0
        && last.kind == Kind::VariableEnd
        && last.end == source.len()
        && tokens.iter().filter(|t| t.kind == Kind::VariableStart).count() == 1;
    whole.then(|| source.get(first.end..last.start)).flatten()
}

fn lexemes(source: &str) -> Option<Vec<Lexeme>> {
    let mut found = Vec::new();
    for token in tokenize(source, false, Default::default()) {
        let (token, span) = token.ok()?;
        let kind = match token {
            Token::TemplateData(_) | Token::BlockEnd => Kind::Outside,
            Token::VariableStart => Kind::VariableStart,
            Token::VariableEnd => Kind::VariableEnd,
            Token::BlockStart => Kind::BlockStart,
            Token::Ident(_) => Kind::Name,
            Token::Str(_) | Token::String(_) => Kind::Text,
            Token::Int(_) | Token::Int128(_) => Kind::Number,
            Token::Float(_) => Kind::Float,
            Token::Plus => Kind::Operator("add"),
            Token::Minus => Kind::Minus,
            Token::Mul => Kind::Operator("mul"),
            Token::Div => Kind::Operator("div"),
            Token::FloorDiv => Kind::Operator("floordiv"),
            Token::Pow => Kind::Operator("pow"),
            Token::Mod => Kind::Operator("rem"),
            Token::Dot => Kind::Dot,
            Token::Comma | Token::Colon | Token::Assign => Kind::Separator,
            Token::Tilde => Kind::Tilde,
            Token::Pipe => Kind::Pipe,
            Token::Eq => Kind::Compare("=="),
            Token::Ne => Kind::Compare("!="),
            Token::Gt => Kind::Compare(">"),
            Token::Gte => Kind::Compare(">="),
            Token::Lt => Kind::Compare("<"),
            Token::Lte => Kind::Compare("<="),
            Token::BracketOpen | Token::ParenOpen | Token::BraceOpen => Kind::Open,
            Token::BracketClose | Token::ParenClose | Token::BraceClose => Kind::Close,
        };
        found.push(Lexeme { kind, start: span.start_offset as usize, end: span.end_offset as usize });
    }
    Some(found)
}

struct Rewriter<'s> {
    source: &'s str,
    tokens: Vec<Lexeme>,
    at: usize,
}

impl<'s> Rewriter<'s> {
    fn all(mut self) -> String {
        let mut out = self.expressions(None);
        out.push_str(self.slice(self.last_end(), self.source.len()));
        out
    }

    fn slice(&self, from: usize, to: usize) -> &'s str {
        self.source.get(from..to).unwrap_or_default()
    }

    fn peek(&self) -> Option<Kind> {
        self.tokens.get(self.at).map(|t| t.kind)
    }

    fn word(&self, ahead: usize) -> &'s str {
        match self.tokens.get(self.at + ahead) {
            Some(t) if t.kind == Kind::Name => self.slice(t.start, t.end),
            _ => "",
        }
    }

    fn last_end(&self) -> usize {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |t| t.end)
    }

    /// What stands between the last token and the next: white space and comments.
    fn gap(&self) -> &'s str {
        self.slice(self.last_end(), self.tokens.get(self.at).map_or(self.source.len(), |t| t.start))
    }

    /// The next token as it is written, without what stands before it.
    fn take(&mut self) -> &'s str {
        let text = self.tokens.get(self.at).map_or("", |t| self.slice(t.start, t.end));
        self.at += 1;
        text
    }

    fn gap_and_take(&mut self) -> String {
        let gap = self.gap();
        format!("{gap}{}", self.take())
    }

    fn begins_operand(&self) -> bool {
        match self.peek() {
            Some(Kind::Name) => !KEYWORDS.contains(&self.word(0)),
            Some(Kind::Text | Kind::Number | Kind::Float | Kind::Open | Kind::Minus) => true,
            _ => false,
        }
    }

    /// Everything up to the closing bracket `until` stands for, or to the end.
    fn expressions(&mut self, until: Option<Kind>) -> String {
        let mut out = String::new();
        while let Some(kind) = self.peek() {
            if Some(kind) == until {
                break;
            }
            out.push_str(self.gap());
            if kind == Kind::BlockStart {
                out.push_str(self.take());
                // The tag's name: an operand to nothing, as in `{% elif -x > 1 %}`.
                if self.peek() == Some(Kind::Name) {
                    out.push_str(&self.gap_and_take());
                }
            } else if self.begins_operand() {
                out.push_str(&self.comparison());
            } else {
                out.push_str(self.take());
            }
        }
        out
    }

    fn comparison(&mut self) -> String {
        let mut raw = self.sum();
        let mut args = raw.clone();
        let mut compares = false;
        loop {
            let gap = self.gap();
            let operator = match self.peek() {
                Some(Kind::Compare(sign)) => {
                    compares = true;
                    self.take();
                    sign
                }
                Some(Kind::Name) if self.word(0) == "in" => {
                    self.take();
                    "in"
                }
                Some(Kind::Name) if self.word(0) == "not" && self.word(1) == "in" => {
                    self.take();
                    self.take();
                    "not in"
                }
                _ => break,
            };
            let gap_after = self.gap();
            let right = self.sum();
            raw = format!("{raw}{gap}{operator}{gap_after}{right}");
            args = format!("{args},{gap}\"{operator}\",{gap_after}{right}");
        }
        // `in` alone stays: in `{% for x in xs %}` it is no operator at all.
        if compares {
            format!("__compare({args})")
        } else {
            raw
        }
    }

    fn sum(&mut self) -> String {
        let mut left = self.joined();
        loop {
            let name = match self.peek() {
                Some(Kind::Operator("add")) => "add",
                Some(Kind::Minus) => "sub",
                _ => return left,
            };
            left = self.call(name, left, Self::joined);
        }
    }

    /// `a ~ b` stays: it joins texts.
    fn joined(&mut self) -> String {
        let mut left = self.product();
        while self.peek() == Some(Kind::Tilde) {
            left.push_str(&self.gap_and_take());
            left.push_str(self.gap());
            left.push_str(&self.product());
        }
        left
    }

    fn product(&mut self) -> String {
        let mut left = self.power();
        while let Some(Kind::Operator(name @ ("mul" | "div" | "floordiv" | "rem"))) = self.peek() {
            left = self.call(name, left, Self::power);
        }
        left
    }

    fn power(&mut self) -> String {
        let mut left = self.filtered();
        while self.peek() == Some(Kind::Operator("pow")) {
            left = self.call("pow", left, Self::filtered);
        }
        left
    }

    fn call(&mut self, name: &str, left: String, operand: fn(&mut Self) -> String) -> String {
        let before = self.gap();
        self.take();
        let after = self.gap();
        let right = operand(self);
        format!("__{name}({left},{before}{after}{right})")
    }

    /// An operand with its filters and tests, which bind tighter than any operator.
    fn filtered(&mut self) -> String {
        let mut out = self.negated();
        loop {
            if self.peek() == Some(Kind::Pipe) {
                out.push_str(&self.gap_and_take());
                self.dotted_name(&mut out);
                if self.peek() == Some(Kind::Open) {
                    out.push_str(&self.group());
                }
            } else if self.peek() == Some(Kind::Name) && self.word(0) == "is" {
                out.push_str(&self.gap_and_take());
                if self.word(0) == "not" {
                    out.push_str(&self.gap_and_take());
                }
                self.dotted_name(&mut out);
                if self.begins_operand() {
                    out.push_str(self.gap());
                    out.push_str(&self.negated());
                }
            } else {
                return out;
            }
        }
    }

    fn dotted_name(&mut self, out: &mut String) {
        while matches!(self.peek(), Some(Kind::Name | Kind::Dot)) {
            out.push_str(&self.gap_and_take());
            if self.peek() != Some(Kind::Dot) {
                break;
            }
            out.push_str(&self.gap_and_take());
        }
    }

    fn negated(&mut self) -> String {
        if self.peek() != Some(Kind::Minus) {
            return self.operand();
        }
        self.take();
        let gap = self.gap();
        // A negative literal stays one: slices and arguments need plain integers.
        if self.peek() == Some(Kind::Number) {
            return format!("-{gap}{}", self.operand());
        }
        if !self.begins_operand() {
            return format!("-{gap}");
        }
        format!("__neg({gap}{})", self.negated())
    }

    /// A name, literal or bracket with the attributes, items and calls that follow it.
    fn operand(&mut self) -> String {
        let mut out = match self.peek() {
            Some(Kind::Open) => {
                let gap = self.gap().len();
                self.group().split_off(gap)
            }
            Some(Kind::Text) => {
                let mut text = self.take().to_owned();
                while self.peek() == Some(Kind::Text) {
                    text.push_str(&self.gap_and_take());
                }
                text
            }
            Some(Kind::Float) => format!("__exact(\"{}\")", self.take()),
            _ if self.begins_operand() => self.take().to_owned(),
            _ => return String::new(),
        };
        loop {
            match self.peek() {
                Some(Kind::Dot) => {
                    out.push_str(&self.gap_and_take());
                    if matches!(self.peek(), Some(Kind::Name | Kind::Number)) {
                        out.push_str(&self.gap_and_take());
                    }
                }
                Some(Kind::Open) if !self.opens_map() => out.push_str(&self.group()),
                _ => return out,
            }
        }
    }

    fn opens_map(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|t| self.slice(t.start, t.end) == "{")
    }

    /// A bracket with what is in it, and what stands before it.
    fn group(&mut self) -> String {
        let mut out = self.gap_and_take();
        out.push_str(&self.expressions(Some(Kind::Close)));
        if self.peek() == Some(Kind::Close) {
            out.push_str(&self.gap_and_take());
        }
        out
    }
}

#[cfg(test)]
mod tests;
