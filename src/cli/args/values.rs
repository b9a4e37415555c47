//! Parsers of option values.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU64,
    time::Duration,
};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::{
    code::DEFAULT_PORT,
    error::{Error, Kind},
    net::CongestionControl,
    text::visible,
    transfer::{CompressionMode, LinkPolicy},
};

/// The heading of options with patterns in the help.
pub(super) const SELECTION: &str = "Selection";

/// Parses a policy for links.
pub(super) fn link_policy() -> impl TypedValueParser<Value = LinkPolicy> {
    PossibleValuesParser::new(["keep", "skip", "follow"]).map(|name| match name.as_str() {
        "skip" => LinkPolicy::Skip,
        "follow" => LinkPolicy::Follow,
        _ => LinkPolicy::Keep,
    })
}

/// The names of the congestion controls.
const CONGESTION: [(&str, CongestionControl); 3] =
    [("auto", CongestionControl::Auto), ("cubic", CongestionControl::Cubic), ("bbr", CongestionControl::Bbr)];

/// Parses the name of a congestion control.
pub(in crate::cli) fn congestion_control_of(name: &str) -> Result<CongestionControl, Error> {
    let found = CONGESTION.into_iter().find(|(known, _)| *known == name).map(|(_, control)| control);
    found.ok_or_else(|| {
        Error::new(Kind::Usage, format!("unknown congestion control “{}”", visible(name)))
            .hint("choose auto, cubic or bbr")
    })
}

/// Returns the name of a congestion control.
pub(in crate::cli) fn congestion_name(control: CongestionControl) -> &'static str {
    CONGESTION.into_iter().find(|(_, known)| *known == control).map_or("auto", |(name, _)| name)
}

/// Parses the congestion control.
pub(super) fn congestion_control() -> impl TypedValueParser<Value = CongestionControl> {
    PossibleValuesParser::new(CONGESTION.map(|(name, _)| name)).try_map(|name| congestion_control_of(&name))
}

/// Parses when content is compressed.
pub(super) fn compression_mode() -> impl TypedValueParser<Value = CompressionMode> {
    PossibleValuesParser::new(["auto", "always", "never"]).map(|name| match name.as_str() {
        "always" => CompressionMode::Always,
        "never" => CompressionMode::Never,
        _ => CompressionMode::Auto,
    })
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

/// Parses a number of bytes per second, in any unit. A number of a few bytes is a forgotten unit.
pub(in crate::cli) fn rate(text: &str) -> Result<NonZeroU64, Error> {
    /// The lowest rate, in bytes per second.
    const MIN: u64 = 1_000;
    let invalid = |reason: String| {
        Error::new(Kind::Usage, format!("invalid rate: {reason}")).hint("write it as 500kB, 2MB or 1.5MiB")
    };
    let bytes = parse_bytes(text).map_err(invalid)?;
    match NonZeroU64::new(bytes) {
        Some(rate) if bytes >= MIN => Ok(rate),
        _ => Err(invalid(format!("{bytes} bytes per second is less than 1kB; is the unit missing?"))),
    }
}

/// Parses the address on which a relay listens: `ADDR:PORT`, `ADDR`, `:PORT` or `PORT`.
pub(super) fn listen_addr(text: &str) -> Result<SocketAddr, Error> {
    let invalid = || {
        Error::new(Kind::Usage, "invalid address")
            .hint("write it as 4433, 192.0.2.7, 192.0.2.7:443 or [2001:db8::7]:443")
    };
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let ip = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = ip.parse::<IpAddr>() {
        return Ok((ip, DEFAULT_PORT).into());
    }
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>().map_err(|_| invalid())?;
    Ok((Ipv6Addr::UNSPECIFIED, port).into())
}

/// Parses a number of bytes, in any unit. The parser's own messages do not name the value.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = text.parse::<bytesize::ByteSize>().map(|size| size.as_u64());
    bytes.map_err(|_| format!("“{}” is not a number of bytes", visible(text)))
}

/// Parses a number of bytes, in any unit.
pub(super) fn size(text: &str) -> Result<u64, Error> {
    parse_bytes(text).map_err(|reason| {
        Error::new(Kind::Usage, format!("invalid size: {reason}")).hint("write it as 500kB, 2MB or 1.5GiB")
    })
}

/// Parses an amount of memory, in any unit.
pub(super) fn memory_size(text: &str) -> Result<usize, Error> {
    /// The smallest budget. The smallest bridge holds more than this in both directions.
    const MIN: u64 = 1024 * 1024;
    let invalid = |reason: String| {
        Error::new(Kind::Usage, format!("invalid size: {reason}")).hint("write it as 500MB, 512MiB or 2GiB")
    };
    let bytes = parse_bytes(text).map_err(invalid)?;
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
    fn a_relay_listens_on_an_address_with_or_without_a_port() {
        for (text, addr) in [
            ("4433", "[::]:4433"),
            (":99", "[::]:99"),
            ("0", "[::]:0"),
            ("0.0.0.0", "0.0.0.0:4433"),
            ("192.0.2.7:443", "192.0.2.7:443"),
            ("::1", "[::1]:4433"),
            ("[::1]", "[::1]:4433"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(listen_addr(text).unwrap(), addr.parse().unwrap(), "{text}");
        }
        for bad in ["", ":", "70000", "host", "192.0.2.7:", "[::1"] {
            assert!(listen_addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rate_without_a_unit_is_an_error() {
        assert_eq!(rate("5MB").unwrap().get(), 5_000_000);
        assert_eq!(rate("50000").unwrap().get(), 50_000);
        for bad in ["5", "0", "999", "-1", "x"] {
            assert!(rate(bad).unwrap_err().message().starts_with("invalid rate: "), "{bad}");
        }
    }
}
