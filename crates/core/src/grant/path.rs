//! Paths as tools and caveats compare them: relative, with `/`, without `.` and `..`.

/// The path is no path below a root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPath(String);

/// The longest path, in bytes.
pub const MAX_BYTES: usize = 4096;

/// `path`, given on an object that stands at `base` (normalised), as seen from the root. `..` may
/// undo a part of `path` itself but never climbs above `base`: an object is authority over what is
/// below it and no more.
pub fn join(base: &str, path: &str) -> Result<String, BadPath> {
    let shown = || path.chars().take(120).collect::<String>();
    if path.len() > MAX_BYTES || base.len() + path.len() > MAX_BYTES {
        return Err(BadPath(format!("a path of more than {MAX_BYTES} bytes")));
    }
    if path.contains(['\0', '\\']) {
        return Err(BadPath(format!("`{}` has a character that no path may have", shown())));
    }
    if path.starts_with('/') {
        return Err(BadPath(format!("`{}` is absolute: give a path below the object", shown())));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(BadPath(format!("`{}` leaves the object it is given to", shown())));
                }
            }
            part => parts.push(part),
        }
    }
    let below = parts.join("/");
    Ok(match (base.is_empty(), below.is_empty()) {
        (true, _) => below,
        (false, true) => base.to_owned(),
        (false, false) => format!("{base}/{below}"),
    })
}

/// Whether `path` is `prefix` or below it; both normalised.
pub fn is_within(path: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || path == prefix
        || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (base, path, whole) in [
            ("", "a/b", "a/b"),
            ("", ".", ""),
            ("", "", ""),
            ("src", "", "src"),
            ("src", "./a//b/../c/", "src/a/c"),
        ] {
            assert_eq!(join(base, path).unwrap(), whole);
        }
    }

    #[test]
    fn what_leaves_the_object_is_refused() {
        for path in ["..", "a/../..", "/etc/passwd", "a\0b", "..\\x", "a/../../src/b"] {
            assert!(join("src", path).is_err(), "{path:?}");
        }
        assert!(join("", &"a/".repeat(3000)).is_err());
    }
}
