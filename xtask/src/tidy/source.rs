//! Reads Rust source roughly: what is code, what is a comment or a literal, what is a test.

/// Blanks comments and the insides of strings and characters; lines and columns stay where they are.
pub fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let starts_word = at == 0 || !is_word(chars[at - 1]) || is_prefix(&chars[..at]);
        // How many characters open a literal, stand inside it, and close it.
        let (open, inside, close) = match rest {
            ['/', '/', ..] => (0, rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()), 0),
            ['/', '*', ..] => (0, block_comment(rest), 0),
            ['"', inside @ ..] => (1, string(inside), 1),
            ['r', ..] if starts_word => {
                raw_string(rest).map_or((1, 0, 0), |(open, inside)| (open, inside, 1))
            }
            ['\'', '\\', _, inside @ ..] => (1, 2 + inside.iter().take_while(|c| **c != '\'').count(), 1),
            ['\'', _, '\'', ..] => (1, 1, 1),
            _ => (1, 0, 0),
        };
        let mut part = rest.iter();
        out.extend(part.by_ref().take(open));
        out.extend(part.by_ref().take(inside).map(|c| if *c == '\n' { '\n' } else { ' ' }));
        out.extend(part.take(close));
        at += open + inside + close;
    }
    out
}

/// Tells whether a character can be part of a name.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `b` and `c` before a raw string belong to it.
fn is_prefix(before: &[char]) -> bool {
    match before {
        [.., first, 'b' | 'c'] => !is_word(*first),
        ['b' | 'c'] => true,
        _ => false,
    }
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    break;
                }
            }
            _ => at += 1,
        }
    }
    at
}

/// The length of a string's inside, up to its closing quote.
fn string(inside: &[char]) -> usize {
    let mut at = 0;
    while at < inside.len() && inside[at] != '"' {
        at += if inside[at] == '\\' { 2 } else { 1 };
    }
    at.min(inside.len())
}

/// The lengths of what opens a raw string (`r#"`) and of its inside.
fn raw_string(rest: &[char]) -> Option<(usize, usize)> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    let open = hashes + 2;
    if rest.get(hashes + 1) != Some(&'"') {
        return None;
    }
    let inside = &rest[open..];
    let closes = |at: &usize| {
        inside[*at] == '"' && inside[*at + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    Some((open, (0..inside.len()).find(closes).unwrap_or(inside.len())))
}

/// Gives the lines of code with their numbers, up to a module of tests at the end of the file.
pub fn lines_without_tests(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut lines = code.lines().zip(1..).peekable();
    std::iter::from_fn(move || {
        let (line, number) = lines.next()?;
        let tests =
            line.trim() == "#[cfg(test)]" && lines.peek().is_some_and(|(next, _)| is_inline_tests(next));
        (!tests).then_some((number, line))
    })
}

fn is_inline_tests(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("mod ") && line.ends_with('{')
}

/// Tells whether a file of this path holds nothing but tests.
pub fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
}

/// Tells whether `word` stands in `code` as a name of its own.
pub fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_none_or(|c| !is_word(c));
        before && code[at + word.len()..].chars().next().is_none_or(|c| !is_word(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(code(text), expected, "{text}");
    }

    #[test]
    fn comments_and_literals_are_blank_and_all_else_stays() {
        check("a // b\nc", "a     \nc");
        check("a /* b /* c */ d\n */ e", "a               \n    e");
        check(r#"f("a // \" b", x)"#, r#"f("         ", x)"#);
        check(r##"r#"a " b"# + c"##, r##"r#"     "# + c"##);
        check(r#"br"\" + c"#, r#"br" " + c"#);
        check("'\"' + \"a\"", "' ' + \" \"");
        check(r"'\'' + b'\\' + 'x'", r"'  ' + b'  ' + ' '");
        check("fn a<'a>(b: &'a str) {}", "fn a<'a>(b: &'a str) {}");
        check("\"\" + r\"\" + a", "\"\" + r\"\" + a");
        check("for r in bar {}", "for r in bar {}");
        check("\"open", "\"    ");
        check("\"ä\\", "\"  ");
    }

    #[test]
    fn tests_at_the_end_are_left_out_and_other_parts_of_tests_are_not() {
        let text = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod more {\nc\n}\n";
        let lines: Vec<_> =
            lines_without_tests(text).map(|(number, line)| format!("{number}{line}")).collect();
        assert_eq!(lines, ["1a", "2#[cfg(test)]", "3mod tests;", "4b"]);
    }

    #[test]
    fn a_word_stands_alone() {
        assert!(has_word("use heapless::Vec", "heapless"));
        assert!(!has_word("use heapless_ng::Vec; my_heapless", "heapless"));
    }
}
