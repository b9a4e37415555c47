//! Parsers of option values.

use std::{num::NonZeroU64, time::Duration};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::error::{Error, Kind};

/// Parses `NO_COLOR`: any value except the empty one sets it (<https://no-color.org>). clap passes `true` for the flag.
pub(super) fn is_set(value: &str) -> Result<bool, Error> {
    Ok(!value.is_empty())
}

/// Parses a duration above zero.
pub(super) fn duration(text: &str) -> Result<Duration, Error> {
    match duration_or_zero(text)? {
        Duration::ZERO => Err(invalid_duration("must be longer than zero")),
        duration => Ok(duration),
    }
}

/// Parses a duration, which may be zero.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, Error> {
    /// A point in time that is much later than this overflows the system's clocks.
    const MAX: Duration = Duration::from_secs(1_000 * 365 * 24 * 60 * 60);
    match humantime::parse_duration(text) {
        Ok(duration) if duration > MAX => Err(invalid_duration("must be at most 1000 years")),
        Ok(duration) => Ok(duration),
        Err(e) => Err(invalid_duration(&e.to_string())),
    }
}

fn invalid_duration(reason: &str) -> Error {
    Error::new(Kind::Usage, format!("invalid duration: {reason}")).hint("write it as 90s, 30min, 2h or 1day")
}

/// Parses a number of bytes per second, in any unit.
pub(super) fn rate(text: &str) -> Result<NonZeroU64, Error> {
    let bytes = text.parse::<bytesize::ByteSize>().map_err(|e| e.to_string());
    bytes.and_then(|bytes| NonZeroU64::new(bytes.as_u64()).ok_or_else(|| "must be more than zero".to_owned())).map_err(
        |reason| Error::new(Kind::Usage, format!("invalid rate: {reason}")).hint("write it as 500kB, 2MB or 1.5MiB"),
    )
}

/// Parses a number of bytes, in any unit.
pub(super) fn size(text: &str) -> Result<u64, Error> {
    text.parse::<bytesize::ByteSize>()
        .map(|size| size.as_u64())
        .map_err(|e| Error::new(Kind::Usage, format!("invalid size: {e}")).hint("write it as 500kB, 2MB or 1.5GiB"))
}

/// Parses an amount of memory, in any unit.
pub(super) fn memory_size(text: &str) -> Result<usize, Error> {
    /// The smallest budget. The smallest bridge holds more than this in both directions.
    const MIN: u64 = 1024 * 1024;
    let invalid = |reason: String| {
        Error::new(Kind::Usage, format!("invalid size: {reason}")).hint("write it as 500MB, 512MiB or 2GiB")
    };
    let bytes = text.parse::<bytesize::ByteSize>().map_err(invalid)?.as_u64();
    if bytes < MIN {
        return Err(invalid("must be at least 1MiB".to_owned()));
    }
    usize::try_from(bytes).map_err(|_| invalid("exceeds what this machine can address".to_owned()))
}

/// Parses the number of secret characters of a code.
pub(super) fn code_length() -> impl TypedValueParser<Value = usize> {
    PossibleValuesParser::new(["5", "8", "12", "16", "20"]).try_map(|text| text.parse::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_but_the_empty_one_sets_no_color() {
        assert_eq!((is_set(""), is_set("0")), (Ok(false), Ok(true)));
    }
}
