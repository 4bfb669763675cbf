//! The container of MP4: one track of H.264, as ISO/IEC 14496-12 (boxes) and 14496-15 (H.264 in boxes) have it.
//!
//! A box is its length in 32 bits, a name of four letters, and its contents; numbers are big-endian. Pictures come
//! first, in `mdat`, whose length of 64 bits is filled in last; then `moov`, which says where each of them is. Times
//! are counted in ticks, of which each picture lasts equally many.

use std::io::{self, Seek, SeekFrom, Write};

/// What is the same for all pictures.
pub(crate) struct Track {
    /// Pixels in a row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Ticks a second.
    pub timescale: u32,
    /// Ticks of a picture.
    pub ticks: u32,
    /// Sequence parameter set: a unit of H.264 without its start code.
    pub sps: Vec<u8>,
    /// Picture parameter set, likewise.
    pub pps: Vec<u8>,
}

struct Sample {
    offset: u64,
    length: u32,
    is_sync: bool,
}

/// A file being written.
pub(crate) struct Container<W> {
    file: W,
    track: Track,
    /// Where `mdat` begins, and where the file ends so far.
    media: u64,
    end: u64,
    samples: Vec<Sample>,
}

/// A length of 32 bits that stands for one of 64 bits behind the name.
const LONG: u32 = 1;
/// Rows of the matrix that leaves a picture as it is, in fixed point.
const UPRIGHT: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und`, undetermined: three letters of five bits.
const NO_LANGUAGE: u16 = 0x55c4;

impl<W: Write + Seek> Container<W> {
    /// Begins the file.
    pub fn new(mut file: W, track: Track) -> io::Result<Self> {
        // Brand, its version, the brands whose rules are kept.
        let kind = boxed(b"ftyp", &[b"isom", &512u32.to_be_bytes(), b"isomiso2avc1mp41"]);
        file.write_all(&kind)?;
        file.write_all(&LONG.to_be_bytes())?;
        file.write_all(b"mdat")?;
        file.write_all(&0u64.to_be_bytes())?;
        let media = kind.len() as u64;
        Ok(Self { file, track, media, end: media + 16, samples: Vec::new() })
    }

    /// Adds a picture: units of H.264, each behind its length in 32 bits. `is_sync`: it can be shown without those
    /// before it.
    pub fn push(&mut self, units: &[u8], is_sync: bool) -> io::Result<()> {
        self.file.write_all(units)?;
        let length = u32::try_from(units.len()).map_err(io::Error::other)?;
        self.samples.push(Sample { offset: self.end, length, is_sync });
        self.end += u64::from(length);
        Ok(())
    }

    /// Ends the file.
    pub fn finish(mut self) -> io::Result<()> {
        self.file.write_all(&self.movie())?;
        self.file.seek(SeekFrom::Start(self.media + 8))?;
        self.file.write_all(&(self.end - self.media).to_be_bytes())?;
        self.file.flush()
    }

    fn movie(&self) -> Vec<u8> {
        let track = &self.track;
        let scale = track.timescale.to_be_bytes();
        let duration = (self.samples.len() as u64 * u64::from(track.ticks)).to_be_bytes();
        let upright = words(&UPRIGHT);
        // Times of creation and change are not told; rate and volume are 1 in fixed point; the next track would be the
        // second.
        let head = [&[0; 16], &scale[..], &duration, &words(&[0x1_0000, 0x100_0000, 0, 0]), &upright, &words(&[0; 6])]
            .concat();
        let head = full(b"mvhd", 1, 0, &[&head, &words(&[2])]);
        // Enabled, in the movie; the first track; its size in fixed point.
        let size = words(&[u32::from(track.width) << 16, u32::from(track.height) << 16]);
        let track_head = full(b"tkhd", 1, 3, &[&[0; 16], &words(&[1, 0]), &duration, &[0; 16], &upright, &size]);
        let times = full(b"mdhd", 1, 0, &[&[0; 16], &scale, &duration, &NO_LANGUAGE.to_be_bytes(), &[0; 2]]);
        let handler = full(b"hdlr", 0, 0, &[&[0; 4], b"vide", &[0; 12], b"VideoHandler\0"]);
        // Data are in this file.
        let place = boxed(b"dinf", &[&full(b"dref", 0, 0, &[&words(&[1]), &full(b"url ", 0, 1, &[])])]);
        let video = boxed(b"minf", &[&full(b"vmhd", 0, 1, &[&[0; 8]]), &place, &self.table()]);
        let media = boxed(b"mdia", &[&times, &handler, &video]);
        boxed(b"moov", &[&head, &boxed(b"trak", &[&track_head, &media])])
    }

    /// What the pictures are, how long they last, how large they are and where. Each is a chunk of its own.
    fn table(&self) -> Vec<u8> {
        let count = self.samples.len() as u32;
        let syncs: Vec<u32> = (1..).zip(&self.samples).filter(|(_, s)| s.is_sync).map(|(i, _)| i).collect();
        let sizes: Vec<u32> = self.samples.iter().map(|s| s.length).collect();
        let offsets: Vec<u8> = self.samples.iter().flat_map(|s| s.offset.to_be_bytes()).collect();
        let entries = full(b"stsd", 0, 0, &[&words(&[1]), &self.entry()]);
        let times = full(b"stts", 0, 0, &[&words(&[1, count, self.track.ticks])]);
        let syncs = full(b"stss", 0, 0, &[&words(&[syncs.len() as u32]), &words(&syncs)]);
        let chunks = full(b"stsc", 0, 0, &[&words(&[1, 1, 1, 1])]);
        let sizes = full(b"stsz", 0, 0, &[&words(&[0, count]), &words(&sizes)]);
        let offsets = full(b"co64", 0, 0, &[&words(&[count]), &offsets]);
        boxed(b"stbl", &[&entries, &times, &syncs, &chunks, &sizes, &offsets])
    }

    fn entry(&self) -> Vec<u8> {
        let Track { width, height, sps, pps, .. } = &self.track;
        let length = |unit: &[u8]| (unit.len() as u16).to_be_bytes();
        // Version; profile, what it is compatible with, and level, as the parameter set has them; lengths of units have
        // four bytes.
        let profile = sps.get(1..4).unwrap_or(&[0; 3]);
        let avc = boxed(b"avcC", &[&[1], profile, &[0xff], &[0xe1], &length(sps), sps, &[1], &length(pps), pps]);
        // 72 dots an inch in both directions, one picture a sample, no name of a compressor, 24 bits deep, no table of
        // colours.
        let look = [&words(&[72 << 16, 72 << 16, 0])[..], &[0, 1], &[0; 32], &[0, 24], &[0xff; 2]].concat();
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        boxed(b"avc1", &[&[0, 0, 0, 0, 0, 0, 0, 1], &[0; 16], &size, &look, &avc])
    }
}

fn boxed(name: &[u8; 4], contents: &[&[u8]]) -> Vec<u8> {
    let contents = contents.concat();
    [&(contents.len() as u32 + 8).to_be_bytes(), &name[..], &contents].concat()
}

/// A box that begins with its version and flags.
fn full(name: &[u8; 4], version: u8, flags: u32, contents: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags).to_be_bytes();
    boxed(name, &[&head, &contents.concat()])
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}
