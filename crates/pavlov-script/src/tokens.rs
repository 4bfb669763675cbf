//! A script as rhai's own tokens: what can be said of the text before, or without, its syntax tree.
//!
//! The tree does not tell `-x ** 2` from `(-x) ** 2`: rhai takes the minus first, and people read it last.

use crate::engine::engine;
use crate::lint::Lint;
use rhai::Token;

/// A token and where it begins: line and column, from 1.
#[derive(Clone, Debug)]
pub(crate) struct Tok {
    pub token: Token,
    pub at: (usize, usize),
}

/// The tokens of a text, which need not be rhai; the last is the end.
pub(crate) fn tokens(text: &str) -> Vec<Tok> {
    let engine = engine();
    let inputs = [text];
    let (stream, control) = engine.lex(&inputs);
    let mut out = Vec::new();
    // Braces within texts in backticks: after the last one the text goes on.
    let mut within: Vec<usize> = Vec::new();
    for (token, pos) in stream.take(text.len() + 1) {
        let at = crate::diag::place(pos);
        match token {
            Token::InterpolatedString(_) => within.push(0),
            Token::LeftBrace | Token::MapStart => within.iter_mut().last().into_iter().for_each(|depth| *depth += 1),
            Token::RightBrace => {
                if let Some(depth) = within.last_mut() {
                    *depth = depth.saturating_sub(1);
                    if *depth == 0 {
                        within.pop();
                        control.borrow_mut().is_within_text = true;
                    }
                }
            }
            _ => {}
        }
        let end = token == Token::EOF;
        out.push(Tok { token, at });
        if end {
            break;
        }
    }
    out
}

/// Index of the bracket that closes the one at `open`.
fn closing(tokens: &[Tok], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate().skip(open) {
        match t.token {
            Token::LeftParen | Token::LeftBracket | Token::QuestionBracket | Token::LeftBrace | Token::MapStart => {
                depth += 1;
            }
            Token::RightParen | Token::RightBracket | Token::RightBrace => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

/// Index behind the operand that begins at `i`: signs, a value, and its properties, calls and indices.
fn behind_operand(tokens: &[Tok], mut i: usize) -> Option<usize> {
    use Token::{Bang, Minus, Plus, UnaryMinus, UnaryPlus};
    while matches!(tokens.get(i)?.token, Bang | Minus | Plus | UnaryMinus | UnaryPlus) {
        i += 1;
    }
    i = match tokens.get(i)?.token {
        Token::LeftParen | Token::LeftBracket | Token::LeftBrace | Token::MapStart => closing(tokens, i)? + 1,
        Token::Identifier(_) | Token::IntegerConstant(_) | Token::FloatConstant(_) | Token::StringConstant(_) => i + 1,
        _ => return None,
    };
    loop {
        match tokens.get(i)?.token {
            Token::Period | Token::Elvis | Token::DoubleColon => i += 2,
            Token::Unit => i += 1,
            Token::LeftParen | Token::LeftBracket | Token::QuestionBracket => i = closing(tokens, i)? + 1,
            _ => return Some(i),
        }
    }
}

/// An exponent for which both readings give the same: an odd whole number, and nothing behind it that binds.
fn odd(tokens: &[Tok], i: usize) -> bool {
    let odd = match &tokens[i].token {
        Token::IntegerConstant(n) => n % 2 != 0,
        Token::FloatConstant(x) => x.0.rem_euclid(2.0) == 1.0,
        _ => return false,
    };
    odd && !matches!(tokens.get(i + 1).map(|t| &t.token), Some(Token::PowerOf | Token::Period))
}

/// A minus before a power: `-x ** 2` is `(-x) ** 2` to rhai.
pub(crate) fn minus_before_power(text: &str, tokens: &[Tok]) -> Vec<Lint> {
    let lines: Vec<&str> = text.lines().collect();
    // What stands from one token to before another, when they are on one line.
    let between = |from: usize, to: usize| -> Option<String> {
        let (from, to) = (tokens.get(from)?.at, tokens.get(to)?.at);
        let line = lines.get(from.0.checked_sub(1)?).filter(|_| from.0 == to.0)?;
        let part: String = line.chars().take(to.1 - 1).skip(from.1 - 1).collect();
        Some(part.trim().to_string())
    };
    let mut out = Vec::new();
    for (i, t) in tokens.iter().enumerate() {
        let (power, base) = match &t.token {
            Token::UnaryMinus if tokens[i + 1].token != Token::UnaryMinus => {
                let Some(power) = behind_operand(tokens, i + 1) else { continue };
                (power, between(i + 1, power))
            }
            // A minus is part of the literal behind it.
            Token::IntegerConstant(n) if *n < 0 => (i + 1, between(i, i + 1).map(|x| x.trim_start_matches('-').into())),
            Token::FloatConstant(x) if *x.0 < 0.0 => {
                (i + 1, between(i, i + 1).map(|x| x.trim_start_matches('-').into()))
            }
            _ => continue,
        };
        if tokens.get(power).is_none_or(|t| t.token != Token::PowerOf) || odd(tokens, power + 1) {
            continue;
        }
        let exponent = behind_operand(tokens, power + 1).and_then(|end| {
            // A single token may be the last of its line.
            if end == power + 2 { Some(tokens[power + 1].token.to_string()) } else { between(power + 1, end) }
        });
        let (base, exponent) = match base.zip(exponent).filter(|(b, e)| b.len() + e.len() < 80 && !e.is_empty()) {
            Some((base, exponent)) => (base, exponent),
            None => ("x".into(), "2".into()),
        };
        out.push(Lint {
            at: t.at,
            rule: "minus-power",
            message: format!(
                "a minus before a power: rhai reads `-{base} ** {exponent}` as `(-{base}) ** {exponent}`, which has \
                 the other sign than people mean"
            ),
            hint: format!(
                "write `-({base} ** {exponent})`, or with parentheses `(-{base}) ** {exponent}` where that is meant"
            ),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(expr: &str) -> Vec<Lint> {
        let text = format!("fn reward(s) {{\n    {expr}\n}}");
        minus_before_power(&text, &tokens(&text))
    }

    #[test]
    fn a_minus_before_a_power_is_found_wherever_it_stands() {
        for expr in [
            "-x ** 2",
            "- x ** 2",
            "-x**2.0",
            "#{ a: -x ** 2 }",
            "exp(-x ** 2 / 0.1)",
            "0.5 * -s.joint(\"a\").pos ** 2",
            "-s.qpos[0] ** 2",
            "-s.qpos[i + 1].abs() ** n",
            "-(x + y) ** 2",
            "-f(x)(y) ** 2",
            "-gait::phase(x) ** 2",
            "-2.0 ** 2",
            "-2 ** x",
            "return -x ** 2;",
            "let y = -x ** 2;",
            "if -x ** 2 < -1.0 { 1.0 } else { 0.0 }",
            "x ** -y ** 2",
            "-x ** 1.5",
            "- -x ** 2",
            "-x ** 3 ** 2",
            "-x /* a */ ** 2",
            "a && -x ** 2 > 0.0",
            "|v| -v ** 2",
            "`${-x ** 2}`",
        ] {
            let found = found(expr);
            assert_eq!(found.len(), 1, "{expr}: {found:?}");
            assert_eq!(found[0].at.0, 2, "{expr}");
        }
        assert!(found("-x ** 2")[0].hint.contains("`-(x ** 2)`"));
        assert!(found("-s.qpos[0] ** n")[0].hint.contains("`-(s.qpos[0] ** n)`"), "{:?}", found("-s.qpos[0] ** n"));
        assert!(found("-2.0 ** 2")[0].hint.contains("`-(2.0 ** 2)`"), "{:?}", found("-2.0 ** 2"));
    }

    #[test]
    fn what_means_the_same_to_all_is_not() {
        for expr in [
            "-(x ** 2)",
            "(-x) ** 2",
            "y - x ** 2",
            "y -x ** 2",
            "2 - 3 ** 2",
            "s.qpos[0] -1 ** 2",
            "f(x) - 2 ** 2",
            "x ** -2",
            "-1.0 * x ** 2",
            "-x.pow(2)",
            "-pow(x, 2)",
            "-x ** 3",
            "-x ** 1.0",
            "\"-x ** 2\"",
            "x // -x ** 2",
            "x /* -x ** 2 */",
            "-x + y ** 2",
            "-x * y ** 2",
        ] {
            assert!(found(expr).is_empty(), "{expr}: {:?}", found(expr));
        }
    }

    #[test]
    fn any_text_has_an_end() {
        for text in ["", "`", "`${", "`${ `${ } `", "\"", "'", "}}}", "-", "- **", "#{", "-(((", "/*", "-x **"] {
            let all = tokens(text);
            let _ = minus_before_power(text, &all);
        }
    }
}
