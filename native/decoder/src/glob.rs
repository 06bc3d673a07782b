//! Globs over paths: `*` within a part, `**` over parts, `?` one byte that is no slash.

/// Whether the whole of `text` is matched. Work: bounded by the product of the lengths for each `**`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star of each kind stands, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    let mut stars: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            stars = Some((p, t));
            star = None;
            continue;
        }
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                p += 1;
                star = Some((p, t));
                continue;
            }
            (Some(b'?'), Some(&byte)) if byte != b'/' => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (Some(want), Some(byte)) if want == byte && *want != b'?' => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        if let Some((after, taken)) = star
            && text.get(taken).is_some_and(|&byte| byte != b'/')
        {
            star = Some((after, taken + 1));
            (p, t) = (after, taken + 1);
        } else if let Some((after, taken)) = stars
            && taken < text.len()
        {
            stars = Some((after, taken + 1));
            star = None;
            (p, t) = (after, taken + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn follows_the_rules_of_its_head() {
        for (pattern, text, is) in [
            ("/etc/*", "/etc/hosts", true),
            ("/etc/*", "/etc/ssl/x", false),
            ("/etc/**", "/etc/ssl/x", true),
            ("/**/x", "/etc/ssl/x", true),
            ("/**/*.so", "/usr/lib/a.so", true),
            ("/**/*.so", "/usr/lib/a.so.1", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("", "", true),
            ("*", "", true),
            ("/a", "/ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is, "{pattern} on {text}");
        }
    }
}
