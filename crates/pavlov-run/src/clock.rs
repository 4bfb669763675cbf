//! The time of day as text, without a calendar library.

use std::time::{SystemTime, UNIX_EPOCH};

/// Year, month, day, hour, minute, second of a Unix time, UTC.
fn civil(seconds: u64) -> [u64; 6] {
    // Days to a date in the Gregorian calendar: H. Hinnant, "chrono-compatible low-level date algorithms".
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    [year, month, day, time / 3600, time / 60 % 60, time % 60]
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// `2026-11-03T14:25:01Z`.
pub fn now_utc() -> String {
    let [y, mo, d, h, mi, s] = civil(unix_seconds());
    format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z")
}

/// `20261103-142501`, for names of folders.
pub(crate) fn stamp() -> String {
    let [y, mo, d, h, mi, s] = civil(unix_seconds());
    format!("{y:04}{mo:02}{d:02}-{h:02}{mi:02}{s:02}")
}

/// Seconds since 1970 with fractions.
pub(crate) fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_known_seconds() {
        assert_eq!(civil(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(civil(951_782_399), [2000, 2, 28, 23, 59, 59]);
        assert_eq!(civil(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(civil(1_709_251_199), [2024, 2, 29, 23, 59, 59]);
        assert_eq!(civil(4_102_444_800), [2100, 1, 1, 0, 0, 0]);
    }
}
