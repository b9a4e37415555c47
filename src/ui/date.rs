//! Dates in UTC.

/// Returns a time as `2026-01-31 23:59` in UTC; `None` outside the years 0 to 9999. `unix_time` is in seconds.
pub(super) fn date_and_minute(unix_time: i64) -> Option<String> {
    let (days, second) = (unix_time.div_euclid(86_400), unix_time.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    (0..=9_999).contains(&year).then(|| {
        let (hour, minute) = (second / 3_600, second % 3_600 / 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
    })
}

/// Returns the Gregorian date of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>). Years begin in March, so that the leap day comes last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468; // days from 0000-03-01
    let era = z.div_euclid(146_097); // 400 years
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // March is 0
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        for (seconds, expected) in [
            (0, Some("1970-01-01 00:00")),
            (-1, Some("1969-12-31 23:59")),
            (951_782_400, Some("2000-02-29 00:00")),
            (4_107_542_400, Some("2100-03-01 00:00")),
            (253_402_300_799, Some("9999-12-31 23:59")),
            (253_402_300_800, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(date_and_minute(seconds).as_deref(), expected, "{seconds}");
        }
    }
}
