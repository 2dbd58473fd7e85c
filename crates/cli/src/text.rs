//! Words and numbers for people: escaped, bounded, in units.

use std::fmt::Write as _;

/// Makes foreign text safe for a terminal: control, escape and direction-changing characters
/// become visible escapes. Keys and server messages are chosen by others.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that reorder or hide what stands next to them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Columns the text takes, counting every character as one and an escape sequence as none.
pub(crate) fn columns(text: &str) -> usize {
    let (mut count, mut escape) = (0, false);
    for c in text.chars() {
        match (escape, c) {
            (true, 'm') => escape = false,
            (true, _) => {}
            (false, '\x1b') => escape = true,
            (false, _) => count += 1,
        }
    }
    count
}

/// Cuts to at most `max` columns and marks the cut. The text must not hold escape sequences.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Breaks at spaces into lines of at most `max` columns; a longer word stays whole.
pub(crate) fn wrap(text: &str, max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if columns(line) + 1 + columns(word) <= max {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// `1 record`, `2 records`.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// `820 ms`, `3.4 s`, `2 min 05 s`, `3 h 12 min`, `4 d 3 h`.
pub(crate) fn millis(ms: u64) -> String {
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 if ms < 10_000 => format!("{}.{} s", seconds, ms % 1000 / 100),
        1000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600_000..86_400_000 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The same, as coarse as people speak of ages: `48 s`, `12 min`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn age(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Fractional milliseconds from microseconds: `0.42 ms`, `12.3 ms`.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{:02} ms", us / 1000, us % 1000 / 10),
        10_000..1_000_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => millis(us / 1000),
    }
}

/// `512 B`, `3.4 MB`, in powers of 1000.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut whole, mut rest, mut unit) = (n, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        rest = whole % 1000;
        whole /= 1000;
        unit += 1;
    }
    if unit == 0 || whole >= 100 {
        format!("{whole} {}", UNITS[unit])
    } else {
        format!("{whole}.{} {}", rest / 100, UNITS[unit])
    }
}

/// `30s`, `5m`, `2h`, `1d`, `250ms`, or plain seconds.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 =
        number.parse().map_err(|_| format!("`{text}` is no duration; write 30s, 5m, 2h or 1d"))?;
    let factor: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{unit}` is no unit of time; write ms, s, m, h or d")),
    };
    let ms = number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too long"))?;
    Ok(std::time::Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(clean("x\u{202e}y\nz"), "x\\u{202e}y\\u{a}z");
        assert_eq!(clean("schlüssel:1"), "schlüssel:1");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(
            [count(0), count(999), count(1000), count(1_234_567)].join(" "),
            "0 999 1,000 1,234,567"
        );
        let times = [0, 999, 1000, 9_990, 10_000, 60_000, 3_599_000, 3_600_000, 90_000_000];
        assert_eq!(
            times.map(millis).join(" | "),
            "0 ms | 999 ms | 1.0 s | 9.9 s | 10 s | 1 min 00 s | 59 min 59 s | 1 h 00 min | 1 d 1 h"
        );
        assert_eq!(
            [bytes(0), bytes(999), bytes(1000), bytes(12_345_678)].join(" "),
            "0 B 999 B 1.0 kB 12.3 MB"
        );
        assert_eq!(
            [micros(420), micros(12_300), micros(2_500_000)].join(" "),
            "0.42 ms 12.3 ms 2.5 s"
        );
    }

    #[test]
    fn durations_parse_or_say_why() {
        assert_eq!(parse_duration("90").map(|d| d.as_millis()), Ok(90_000));
        assert_eq!(parse_duration("250ms").map(|d| d.as_millis()), Ok(250));
        assert!(parse_duration("5 parsecs").is_err());
        assert!(parse_duration("s").is_err());
        assert!(parse_duration("99999999999999999999d").is_err());
    }

    #[test]
    fn text_is_cut_and_wrapped_by_columns() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(columns("\x1b[1mab\x1b[0m"), 2);
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
    }
}
