//! The names of devices on Windows.

/// Returns whether Windows treats a file of this name as a device. The extension does not matter.
pub fn is_device_name(name: &str) -> bool {
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
    fn names_of_devices_are_recognized() {
        for device in ["aux.c", "NUL", "com1.txt", "LPT9", "CON .txt"] {
            assert!(is_device_name(device), "{device}");
        }
        for file in ["auxiliary.c", "com10", "b.txt", "console"] {
            assert!(!is_device_name(file), "{file}");
        }
    }
}
