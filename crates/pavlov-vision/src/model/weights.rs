//! Looks through an ONNX file for weights that no training leaves: numbers that are not finite.
//!
//! What runs the file may hide them (the larger of zero and such a number is zero to some), so that scores change
//! without a word. Minus infinity is right in attention masks: tensors that hold nothing but it and one other number.
//! Weights in files beside the ONNX file are not looked at.
//!
//! Source: protocol buffers' encoding; onnx.proto (`ModelProto.graph` 7, `GraphProto.initializer` 5, `TensorProto`:
//! `data_type` 2, `float_data` 4, `name` 8, `raw_data` 9).

/// Types of elements: `TensorProto.DataType`.
const FLOAT: u64 = 1;
const FLOAT16: u64 = 10;

/// A field of a message.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, by number; ends where the bytes are no message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn part(&mut self, n: u64) -> Option<&'a [u8]> {
        let (part, rest) = self.0.split_at_checked(usize::try_from(n).ok()?)?;
        self.0 = rest;
        Some(part)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Bytes(self.part(8)?),
            2 => {
                let n = self.varint()?;
                Field::Bytes(self.part(n)?)
            }
            5 => Field::Bytes(self.part(4)?),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

/// What is wrong with the first tensor that has such a number.
pub(crate) fn broken(onnx: &[u8]) -> Option<String> {
    let within = |bytes, wanted| {
        Fields(bytes).filter_map(move |(number, field)| match field {
            Field::Bytes(part) if number == wanted => Some(part),
            _ => None,
        })
    };
    within(onnx, 7).flat_map(|graph| within(graph, 5)).find_map(broken_tensor)
}

fn broken_tensor(tensor: &[u8]) -> Option<String> {
    let (mut kind, mut name, mut data) = (0, String::new(), Vec::new());
    for (number, field) in Fields(tensor) {
        match (number, field) {
            (2, Field::Number(x)) => kind = x,
            (8, Field::Bytes(text)) => name = String::from_utf8_lossy(text).into_owned(),
            (4 | 9, Field::Bytes(bytes)) => data.push(bytes),
            _ => {}
        }
    }
    let numbers: Box<dyn Iterator<Item = f32>> = match kind {
        FLOAT => Box::new(data.into_iter().flat_map(|d| d.as_chunks::<4>().0).map(|b| f32::from_le_bytes(*b))),
        FLOAT16 => Box::new(data.into_iter().flat_map(|d| d.as_chunks::<2>().0).map(|b| half(u16::from_le_bytes(*b)))),
        _ => return None,
    };
    let (mut masks, mut other) = (false, None);
    let (mut mixed, mut bad) = (false, None);
    for (at, x) in numbers.enumerate() {
        match x {
            x if x == f32::NEG_INFINITY => masks = true,
            x if !x.is_finite() => bad = bad.or(Some((at, x))),
            x => mixed |= *other.get_or_insert(x) != x,
        }
    }
    if masks && mixed {
        bad = bad.or(Some((0, f32::NEG_INFINITY)));
    }
    bad.map(|(at, x)| {
        let name = pavlov_common::plain(&name);
        format!(
            "weights `{name}` have {x} (the {}th number or later): expected finite numbers; bring the file back",
            at + 1
        )
    })
}

/// What is not finite of a number of 16 bits, and otherwise its bits as a number: only that they differ counts.
fn half(bits: u16) -> f32 {
    match (bits & 0x7c00, bits & 0x03ff, bits >> 15) {
        (0x7c00, 0, 0) => f32::INFINITY,
        (0x7c00, 0, _) => f32::NEG_INFINITY,
        (0x7c00, ..) => f32::NAN,
        _ => f32::from(bits),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where the raw data of an ONNX file's f32 weights lie.
    pub fn places(onnx: &[u8]) -> Vec<std::ops::Range<usize>> {
        let parts = |bytes, wanted| {
            Fields(bytes).filter_map(move |(number, field)| match field {
                Field::Bytes(part) if number == wanted => Some(part),
                _ => None,
            })
        };
        let is_float = |t: &&[u8]| Fields(t).any(|f| matches!(f, (2, Field::Number(FLOAT))));
        parts(onnx, 7)
            .flat_map(|graph| parts(graph, 5))
            .filter(is_float)
            .flat_map(|t| parts(t, 9))
            .map(|d| {
                let at = d.as_ptr() as usize - onnx.as_ptr() as usize;
                at..at + d.len()
            })
            .collect()
    }

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut n = bytes.len();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out.extend_from_slice(bytes);
        out
    }

    fn model(numbers: &[f32], raw: bool) -> Vec<u8> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor = [vec![2 << 3, 1], field(8, b"conv.weight"), field(if raw { 9 } else { 4 }, &bytes)].concat();
        [field(2, b"maker"), field(7, &field(5, &tensor))].concat()
    }

    #[test]
    fn a_weight_that_is_not_finite_is_named_and_masks_are_not() {
        for raw in [true, false] {
            assert_eq!(broken(&model(&[0.0, 1.0, -3.4e38], raw)), None);
            assert_eq!(broken(&model(&[0.0, f32::NEG_INFINITY, 0.0], raw)), None, "a mask");
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let told = broken(&model(&[0.0, 1.0, bad], raw)).unwrap();
                assert!(told.contains("`conv.weight`") && told.contains(&bad.to_string()), "{told}");
            }
        }
        // Any bytes may be given.
        let good = model(&[1.0; 40], true);
        for cut in 0..good.len() {
            broken(&good[..cut]);
            let mut changed = good.clone();
            changed[cut] = 0xff;
            broken(&changed);
        }
    }

    #[test]
    fn halves_are_told_apart() {
        assert!(half(0x7e00).is_nan() && half(0x7c00) == f32::INFINITY && half(0xfc00) == f32::NEG_INFINITY);
        assert!(half(0x3c00).is_finite() && half(0) == 0.0);
    }
}
