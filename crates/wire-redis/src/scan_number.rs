//! Numbers as the server reads them.

/// `string2ll` of the server: an optional minus, no leading zero, no plus, no space, no overflow.
pub(crate) fn strict(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        // At most 19 digits fit a u64.
        value = value * 10 + u64::from(d - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

#[cfg(test)]
mod tests {
    use super::strict;

    #[test]
    fn like_the_server() {
        for good in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(strict(good.as_bytes()), good.parse().ok(), "{good}");
        }
        for bad in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1a", "9223372036854775808"] {
            assert_eq!(strict(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(strict(b"-9223372036854775809"), None);
        assert_eq!(strict(b"99999999999999999999"), None);
    }
}
