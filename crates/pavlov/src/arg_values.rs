//! Values that several commands take: counts, shares, sizes of pictures, numbers of threads, and what computes.

use clap::Args;
use pavlov_env::BackendKind;
use pavlov_run::Device;

/// What computes.
#[derive(Debug, Args)]
pub struct Engine {
    /// cpu, gpu or gpu:INDEX (see `pavlov devices`). On the GPU whole rollouts run, nets included; training and
    /// evaluation stay on the processor.
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: Device,
    /// Physics: batch, or rapier.
    #[arg(long, default_value = "batch", value_name = "BACKEND")]
    pub backend: BackendKind,
}

/// `20000`, `20_000`, `5e6`, `5M`, `200k`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}`: expected a number above 0 such as 20000, 5e6, 5M");
    let plain = text.replace('_', "");
    let (digits, factor) = match plain.char_indices().last() {
        Some((at, 'k' | 'K')) => (&plain[..at], 1e3),
        Some((at, 'M')) => (&plain[..at], 1e6),
        Some((at, 'G')) => (&plain[..at], 1e9),
        _ => (plain.as_str(), 1.0),
    };
    if factor == 1.0
        && let Ok(whole) = digits.parse::<u64>()
    {
        return if (1..=i64::MAX as u64).contains(&whole) { Ok(whole) } else { Err(wrong()) };
    }
    let value = digits.parse::<f64>().map_err(|_| wrong())? * factor;
    if (1.0..9e15).contains(&value) && value.fract() == 0.0 { Ok(value as u64) } else { Err(wrong()) }
}

/// A number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x > 0.0 => Ok(x),
        _ => Err(format!("`{text}`: expected a number above 0")),
    }
}

/// A number of 0 or more.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
        _ => Err(format!("`{text}`: expected a number of 0 or more")),
    }
}

/// Seconds above 0, at most a week.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    const WEEK: f64 = 7.0 * 86_400.0;
    positive(text)
        .ok()
        .filter(|s| *s <= WEEK)
        .ok_or_else(|| format!("`{text}`: expected seconds above 0, at most {WEEK}"))
}

/// A temperature of sampling.
pub(crate) fn temperature(text: &str) -> Result<f32, String> {
    let value = not_negative(text)? as f32;
    if value.is_finite() { Ok(value) } else { Err(format!("`{text}`: expected a number such as 0.7")) }
}

/// `480x360`.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |t: &str| t.parse::<u32>().ok().filter(|n| (8..=8192).contains(n));
    let sides = text.split_once(['x', 'X']).and_then(|(w, h)| Some((side(w)?, side(h)?)));
    sides.ok_or_else(|| format!("`{text}`: expected WIDTHxHEIGHT in pixels, each 8 to 8192, such as 480x360"))
}

pub(crate) fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| (1..=1024).contains(n)).ok_or_else(|| format!("`{text}`: expected 1 to 1024"))
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..=1.0).contains(&x) => Ok(x),
        _ => Err("expected a number from 0 to 1".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_may_be_written_short() {
        for (text, value) in
            [("20000", 20_000), ("20_000", 20_000), ("5e6", 5_000_000), ("5M", 5_000_000), ("1.5k", 1500)]
        {
            assert_eq!(count(text), Ok(value));
        }
        for text in ["", "0", "-3", "1.5", "M", "1e99", "nan", "5MM", "é"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_have_their_bounds() {
        assert_eq!((seconds("0.5"), not_negative("0"), temperature("0.7")), (Ok(0.5), Ok(0.0), Ok(0.7)));
        for text in ["nan", "inf", "-1", "1e999", "x", ""] {
            assert!(seconds(text).is_err() && not_negative(text).is_err() && temperature(text).is_err(), "{text}");
        }
        assert!(seconds("0").is_err() && seconds("1e30").is_err() && temperature("1e300").is_err());
    }
}
