//! JSON objects that carry a checksum of themselves: CRC-32C of all bytes in front of it, as their last member
//! `crc32c`. Objects of versions before that have none and are read as they are.

use serde::de::DeserializeOwned;

/// In front of the checksum.
const MARK: &[u8] = b",\n  \"crc32c\": ";

/// Adds the checksum to an object as `serde_json` writes it prettily.
pub(crate) fn seal(mut json: Vec<u8>) -> Vec<u8> {
    while json.last().is_some_and(|&b| b == b'}' || b.is_ascii_whitespace()) {
        let is_end = json.pop() == Some(b'}');
        if is_end {
            break;
        }
    }
    while json.last().is_some_and(u8::is_ascii_whitespace) {
        json.pop();
    }
    let sum = crc32c::crc32c(&json);
    json.extend_from_slice(MARK);
    json.extend_from_slice(format!("{sum}\n}}").as_bytes());
    json
}

/// Reads an object, which must be what its checksum says.
pub(crate) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let Some(at) = bytes.windows(MARK.len()).rposition(|part| part == MARK) else {
        return serde_json::from_slice(bytes).map_err(|e| e.to_string());
    };
    let (content, sum) = (&bytes[..at], &bytes[at + MARK.len()..]);
    let expected = format!("{}\n}}", crc32c::crc32c(content));
    if sum.trim_ascii_end() != expected.as_bytes() {
        return Err("its checksum is wrong: it was cut or changed".into());
    }
    serde_json::from_slice(&[content, b"\n}"].concat()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Some {
        a: f64,
        list: Vec<(u32, String)>,
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let some = Some { a: 0.1, list: vec![(1, "x}".into()), (2, ",\n  \"crc32c\": 7".into())] };
        let plain = serde_json::to_vec_pretty(&some).unwrap();
        assert_eq!(open::<Some>(&plain).unwrap(), some, "without a checksum, as it was written before");
        let sealed = seal(plain);
        assert_eq!(open::<Some>(&sealed).unwrap(), some);
        assert!(serde_json::from_slice::<serde_json::Value>(&sealed).unwrap()["crc32c"].is_u64());
        for bit in 0..8 * sealed.len() {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            match open::<Some>(&bad) {
                Err(_) => {}
                // White space behind the end says nothing.
                Ok(read) => assert_eq!(read, some),
            }
        }
        for cut in 0..sealed.len() {
            assert!(open::<Some>(&sealed[..cut]).is_err(), "{cut}");
        }
    }
}
