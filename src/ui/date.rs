//! Dates in the time zone of the user.

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

/// Returns a time as `2026-01-31 23:59`; `None` outside the years 0 to 9999. `unix_time` is in seconds.
pub(super) fn date_and_minute(unix_time: i64, zone: &TimeZone) -> Option<String> {
    Some(in_zone(unix_time, zone)?.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Returns a time with its zone, as `2026-01-31 23:59 CET`; `None` outside the years 0 to 9999.
pub(super) fn date_with_zone(unix_time: u64, zone: &TimeZone) -> Option<String> {
    let time = in_zone(i64::try_from(unix_time).ok()?, zone)?;
    Some(time.strftime("%Y-%m-%d %H:%M %Z").to_string())
}

fn in_zone(unix_time: i64, zone: &TimeZone) -> Option<ZonedDateTime> {
    let time = Timestamp::from_second(unix_time).ok()?.to_zoned_datetime(zone.clone());
    (time.year() >= 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian_and_in_the_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (seconds, utc, local) in [
            (0, Some("1970-01-01 00:00"), Some("1970-01-01 01:00")),
            (-1, Some("1969-12-31 23:59"), Some("1970-01-01 00:59")),
            (951_782_400, Some("2000-02-29 00:00"), Some("2000-02-29 01:00")),
            (1_751_328_000, Some("2025-07-01 00:00"), Some("2025-07-01 02:00")),
            (4_107_542_400, Some("2100-03-01 00:00"), Some("2100-03-01 01:00")),
            (253_402_300_800, None, None),
            (i64::MAX, None, None),
            (i64::MIN, None, None),
        ] {
            assert_eq!(date_and_minute(seconds, &TimeZone::UTC).as_deref(), utc, "{seconds}");
            assert_eq!(date_and_minute(seconds, &berlin).as_deref(), local, "{seconds}");
        }
        assert_eq!(date_with_zone(1_751_328_000, &berlin).unwrap(), "2025-07-01 02:00 CEST");
        assert_eq!(date_with_zone(0, &TimeZone::UTC).unwrap(), "1970-01-01 00:00 UTC");
        assert_eq!(date_with_zone(u64::MAX, &berlin), None);
    }
}
