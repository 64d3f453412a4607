//! How large a picture is and how long a film, where the header says it cheaply. Nothing is decoded.
//!
//! Width and height come from the headers of PNG, JPEG and WebP; of MP4 and its kin the film's length, from
//! the box `mvhd`, wherever its `moov` stands. What does not read is not known; it is never an error.

use std::io::{Read, Seek, SeekFrom};

/// What a header says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    /// In milliseconds.
    pub duration_ms: Option<u64>,
}

/// Segments of a JPEG, or boxes of a film, that are stepped over at most: a hostile file has no end of them.
const MOST_STEPS: usize = 512;

/// What the header of a file with this extension (by its bytes) says.
pub fn shape_of(file: &mut (impl Read + Seek), extension: &str) -> Shape {
    let size = match extension {
        "png" => png(file),
        "jpg" => jpeg(file),
        "webp" => webp(file),
        "mp4" | "m4v" | "mov" | "m4a" => {
            let duration_ms = film(file);
            return Shape {
                duration_ms,
                ..Shape::default()
            };
        }
        _ => None,
    };
    let (width, height) = size
        .filter(|(width, height)| *width > 0 && *height > 0)
        .unzip();
    Shape {
        width,
        height,
        duration_ms: None,
    }
}

fn bytes<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn be32(file: &mut (impl Read + Seek), at: u64) -> Option<u32> {
    bytes(file, at).map(u32::from_be_bytes)
}

fn be64(file: &mut (impl Read + Seek), at: u64) -> Option<u64> {
    bytes(file, at).map(u64::from_be_bytes)
}

/// The first chunk is `IHDR`.
fn png(file: &mut (impl Read + Seek)) -> Option<(u32, u32)> {
    Some((be32(file, 16)?, be32(file, 20)?))
}

/// The start of frame, behind any number of other segments.
fn jpeg(file: &mut (impl Read + Seek)) -> Option<(u32, u32)> {
    let mut at = 2;
    for _ in 0..MOST_STEPS {
        let [mark, kind, high, low] = bytes::<4>(file, at)?;
        if mark != 0xff {
            return None;
        }
        match kind {
            // Fill bytes before a marker.
            0xff => at += 1,
            // Start of frame; C4, C8 and CC are tables.
            0xc0..=0xcf if !matches!(kind, 0xc4 | 0xc8 | 0xcc) => {
                let [a, b, c, d] = bytes::<4>(file, at + 5)?;
                let height = u16::from_be_bytes([a, b]);
                let width = u16::from_be_bytes([c, d]);
                return Some((width.into(), height.into()));
            }
            // The picture itself, or its end, without a frame before.
            0xd9 | 0xda => return None,
            _ => at += 2 + u64::from(u16::from_be_bytes([high, low])),
        }
    }
    None
}

/// Three kinds of first chunk.
fn webp(file: &mut (impl Read + Seek)) -> Option<(u32, u32)> {
    let kind = bytes::<4>(file, 12)?;
    match &kind {
        b"VP8 " => {
            let [a, b, c, d] = bytes::<4>(file, 26)?;
            let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            Some((side(a, b), side(c, d)))
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(bytes(file, 21)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8X" => {
            let [a, b, c, d, e, f] = bytes::<6>(file, 24)?;
            let side = |x, y, z| u32::from_le_bytes([x, y, z, 0]) + 1;
            Some((side(a, b, c), side(d, e, f)))
        }
        _ => None,
    }
}

/// The length that `moov/mvhd` tells.
fn film(file: &mut (impl Read + Seek)) -> Option<u64> {
    let end = file.seek(SeekFrom::End(0)).ok()?;
    let (from, to) = find(file, b"moov", 0, end)?;
    let (at, _) = find(file, b"mvhd", from, to)?;
    let (scale, length) = match bytes::<1>(file, at)? {
        [0] => (be32(file, at + 12)?, u64::from(be32(file, at + 16)?)),
        _ => (be32(file, at + 20)?, be64(file, at + 24)?),
    };
    // All ones: not known.
    if scale == 0 || length == u64::MAX || length == u64::from(u32::MAX) {
        return None;
    }
    length
        .checked_mul(1_000)
        .map(|thousandths| thousandths / u64::from(scale))
}

/// Where the content of the first box of this kind begins and ends.
fn find(
    file: &mut (impl Read + Seek),
    kind: &[u8; 4],
    mut at: u64,
    end: u64,
) -> Option<(u64, u64)> {
    for _ in 0..MOST_STEPS {
        if at + 8 > end {
            return None;
        }
        let (length, head) = match be32(file, at)? {
            0 => (end - at, 8),
            1 => (be64(file, at + 8)?, 16),
            length => (u64::from(length), 8),
        };
        let next = at.checked_add(length).filter(|_| length >= head)?;
        if bytes::<4>(file, at + 4)? == *kind {
            return Some((at + head, next.min(end)));
        }
        at = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn check(file: &[u8], extension: &str, expect: (Option<u32>, Option<u32>, Option<u64>)) {
        let shape = shape_of(&mut Cursor::new(file), extension);
        assert_eq!((shape.width, shape.height, shape.duration_ms), expect);
    }

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
        [&length, kind.as_slice(), content].concat()
    }

    #[test]
    fn pictures_tell_their_size() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
        check(png, "png", (Some(640), Some(480), None));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04xx\xff\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03";
        check(jpeg, "jpg", (Some(640), Some(480), None));
        let lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a\x80\x02\xe0\x01";
        check(lossy, "webp", (Some(640), Some(480), None));
        let extended = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0";
        check(extended, "webp", (Some(640), Some(480), None));
        let bits = (639_u32 | 479 << 14).to_le_bytes();
        let lossless = [b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".as_slice(), &bits].concat();
        check(&lossless, "webp", (Some(640), Some(480), None));
    }

    #[test]
    fn films_tell_their_length_wherever_it_stands() {
        let times = [0_u32, 0, 600, 1_500].map(u32::to_be_bytes).concat();
        let mvhd = boxed(b"mvhd", &[[0; 4].as_slice(), &times].concat());
        let moov = boxed(b"moov", &[boxed(b"udta", b"x"), mvhd].concat());
        let film = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 999]), moov].concat();
        check(&film, "mp4", (None, None, Some(2_500)));
    }

    #[test]
    fn what_is_cut_or_made_up_tells_nothing_and_ends() {
        check(b"\x89PNG\r\n\x1a\n", "png", (None, None, None));
        check(b"\xff\xd8\xff\xda\0\0", "jpg", (None, None, None));
        check(&[0xff; 4_096], "jpg", (None, None, None));
        let endless = boxed(b"free", b"").repeat(9_999);
        check(&endless, "mp4", (None, None, None));
        check(
            b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff",
            "mp4",
            (None, None, None),
        );
        check(b"\0\0\0\0moov", "mp4", (None, None, None));
        check(b"anything", "txt", (None, None, None));
    }
}
