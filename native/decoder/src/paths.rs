//! Paths as a program gives them, made absolute.

/// `name` seen from `base`: absolute where one of the two is. `.` and empty parts go; `..` stays, since what it leads to
/// depends on links that are not ours to follow.
pub fn absolute(base: Option<&[u8]>, name: &[u8]) -> Box<[u8]> {
    let mut whole = Vec::new();
    if !name.starts_with(b"/") {
        whole.extend_from_slice(base.unwrap_or(b"."));
        whole.push(b'/');
    }
    whole.extend_from_slice(name);
    if is_tidy(&whole) {
        return whole.into();
    }
    let rooted = whole.starts_with(b"/");
    let mut tidy = Vec::with_capacity(whole.len());
    for part in whole.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".") {
        if rooted || !tidy.is_empty() {
            tidy.push(b'/');
        }
        tidy.extend_from_slice(part);
    }
    if tidy.is_empty() {
        tidy.push(if rooted { b'/' } else { b'.' });
    }
    tidy.into()
}

fn is_tidy(path: &[u8]) -> bool {
    path.len() > 1
        && !path.ends_with(b"/")
        && !path.ends_with(b"/.")
        && !path.starts_with(b"./")
        && memchr::memmem::find(path, b"//").is_none()
        && memchr::memmem::find(path, b"/./").is_none()
}

#[cfg(test)]
mod tests {
    use super::absolute;

    #[test]
    fn makes_paths_absolute() {
        for (base, name, is) in [
            (Some("/a"), "b", "/a/b"),
            (Some("/a"), "/c//d/./e/", "/c/d/e"),
            (Some("/a/."), "./b", "/a/b"),
            (Some("/"), ".", "/"),
            (Some("/a"), "../b", "/a/../b"),
            (None, "b", "b"),
            (None, "", "."),
        ] {
            let made = absolute(base.map(str::as_bytes), name.as_bytes());
            assert_eq!(String::from_utf8_lossy(&made), is, "{base:?} {name}");
        }
    }
}
