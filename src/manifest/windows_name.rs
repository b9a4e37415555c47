//! The names that Windows cannot store.

/// Returns why Windows cannot store a file of this name, if it cannot.
///
/// The reasons are device names with any extension, trailing dots and spaces, and reserved characters.
pub fn windows_restriction(name: &str) -> Option<&'static str> {
    if name.ends_with(['.', ' ']) {
        return Some("it ends with a dot or a space");
    }
    if name.contains([':', '\\', '<', '>', '"', '|', '?', '*']) {
        return Some("it has a reserved character");
    }
    is_device(name).then_some("it is the name of a device")
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
            Some(n) => matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_windows_cannot_store_are_recognized() {
        for bad in ["aux.c", "NUL", "com1.txt", "LPT9", "a.", "b ", "12:30.png", "a\\b", "what?", "CON .txt"] {
            assert!(windows_restriction(bad).is_some(), "{bad}");
        }
        for good in ["auxiliary.c", "com10", "b.txt", "console"] {
            assert!(windows_restriction(good).is_none(), "{good}");
        }
    }
}
