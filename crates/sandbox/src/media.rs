//! The files that the simulated services make: small, valid, and different for every job, so that
//! a checker can tell whose bytes it holds.

use serde_json::json;
use std::sync::LazyLock;

/// A file.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

const JPEG: &[u8] = include_bytes!("../assets/image.jpg");
const WEBP: &[u8] = include_bytes!("../assets/image.webp");
const MP4: &[u8] = include_bytes!("../assets/video.mp4");
const M4A: &[u8] = include_bytes!("../assets/audio.m4a");

/// Width and height of a PNG, in pixels.
const SIDE: u8 = 64;

/// A picture drawn in colours of the job's own, with the job's name in a tEXt chunk.
pub(crate) fn png(unique: &str) -> Media {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = [0, 0, 0, SIDE];
    // Eight bits a pixel, colour type 3: an index into the palette.
    chunk(
        &mut bytes,
        b"IHDR",
        &[side.as_slice(), &side, &[8, 3, 0, 0, 0]].concat(),
    );
    chunk(&mut bytes, b"tEXt", format!("Comment\0{unique}").as_bytes());
    chunk(&mut bytes, b"PLTE", &palette(unique));
    bytes.extend(PICTURE.iter());
    chunk(&mut bytes, b"IEND", &[]);
    Media {
        content_type: "image/png",
        bytes,
    }
}

/// The IDAT chunk: the drawing is the same in every picture, and checksums take time.
static PICTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    chunk(&mut bytes, b"IDAT", &stored_zlib(&pixels()));
    bytes
});

/// Sixteen shades between two colours that the name decides.
fn palette(unique: &str) -> Vec<u8> {
    let [red, green, blue, ..] = crc(unique.as_bytes()).to_be_bytes();
    let shade = |from: u8, step: u8| {
        let mixed = (u16::from(from) * u16::from(15 - step) + 245 * u16::from(step)) / 15;
        u8::try_from(mixed).unwrap_or(u8::MAX)
    };
    (0..16)
        .flat_map(|step| [shade(red, step), shade(green, step), shade(blue, step)])
        .collect()
}

/// Rows of palette indices, each after its filter byte: rings around the middle.
fn pixels() -> Vec<u8> {
    let middle = i32::from(SIDE) / 2;
    let mut rows = Vec::new();
    for y in 0..i32::from(SIDE) {
        rows.push(0);
        for x in 0..i32::from(SIDE) {
            let distance = (x - middle).pow(2) + (y - middle).pow(2);
            rows.push(u8::try_from((distance / 96).min(15)).unwrap_or(15));
        }
    }
    rows
}

/// A zlib stream of one stored block; the picture is far below the 65,535 bytes of a block.
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let mut bytes = vec![0x78, 0x01, 0x01];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(data);
    let (mut low, mut high) = (1_u32, 0_u32);
    for &byte in data {
        low = (low + u32::from(byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    bytes.extend((high << 16 | low).to_be_bytes());
    bytes
}

fn chunk(bytes: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let covered = [name.as_slice(), data].concat();
    bytes.extend(u32::try_from(data.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(&covered);
    bytes.extend(crc(&covered).to_be_bytes());
}

/// CRC-32 as PNG uses it.
fn crc(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// A JPEG with the job's name in a comment segment right after the start marker.
pub(crate) fn jpeg(unique: &str) -> Media {
    let (start, rest) = JPEG.split_at(2);
    let length = u16::try_from(unique.len() + 2).unwrap_or(2).to_be_bytes();
    let bytes = [start, &[0xff, 0xfe], &length, unique.as_bytes(), rest].concat();
    Media {
        content_type: "image/jpeg",
        bytes,
    }
}

/// A WebP with the job's name in a chunk of its own; the container's size is set anew.
pub(crate) fn webp(unique: &str) -> Media {
    let mut name = unique.as_bytes().to_vec();
    let length = u32::try_from(name.len()).unwrap_or(0).to_le_bytes();
    if name.len() % 2 == 1 {
        name.push(0);
    }
    let body = [WEBP.get(8..).unwrap_or_default(), b"JOBN", &length, &name].concat();
    let size = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
    Media {
        content_type: "image/webp",
        bytes: [b"RIFF".as_slice(), &size, &body].concat(),
    }
}

/// Two seconds of video, with the job's name in a `free` box.
pub(crate) fn mp4(unique: &str) -> Media {
    Media {
        content_type: "video/mp4",
        bytes: with_free_box(MP4, unique),
    }
}

/// A second of sound, with the job's name in a `free` box.
pub(crate) fn m4a(unique: &str) -> Media {
    Media {
        content_type: "audio/mp4",
        bytes: with_free_box(M4A, unique),
    }
}

fn with_free_box(asset: &[u8], unique: &str) -> Vec<u8> {
    let size = u32::try_from(unique.len() + 8).unwrap_or(8).to_be_bytes();
    [asset, &size, b"free", unique.as_bytes()].concat()
}

/// Captions.
pub(crate) fn vtt(unique: &str, topic: &str) -> Media {
    let topic = topic
        .lines()
        .next()
        .unwrap_or_default()
        .replace("-->", "to");
    let text = format!(
        "WEBVTT\n\nNOTE {unique}\n\n00:00:00.000 --> 00:00:01.000\n{topic}\n\n\
         00:00:01.000 --> 00:00:02.000\nThank you for watching.\n"
    );
    Media {
        content_type: "text/vtt",
        bytes: text.into_bytes(),
    }
}

/// What is spoken.
pub(crate) fn transcript(unique: &str, topic: &str) -> Media {
    let text = format!("{topic}\n\nThank you for watching.\n\n[{unique}]\n");
    Media {
        content_type: "text/plain; charset=utf-8",
        bytes: text.into_bytes(),
    }
}

/// Who made what: a list of sources.
pub(crate) fn attribution(unique: &str) -> Media {
    let body = json!({ "reference": unique, "sources": [{ "licence": "CC0-1.0" }] });
    Media {
        content_type: "application/json",
        bytes: body.to_string().into_bytes(),
    }
}

/// A certificate as a PDF of one page, with a right cross-reference table.
pub(crate) fn certificate(unique: &str) -> Media {
    let text = format!("BT /F1 12 Tf 40 90 Td (Compliance certificate {unique}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 480 140] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{text}\nendstream", text.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut pdf = "%PDF-1.4\n".to_owned();
    let mut table = "0000000000 65535 f \n".to_owned();
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&format!("{:010} 00000 n \n", pdf.len()));
        pdf.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = pdf.len();
    pdf.push_str(&format!(
        "xref\n0 6\n{table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    ));
    Media {
        content_type: "application/pdf",
        bytes: pdf.into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_what_it_says_and_differs_from_job_to_job() {
        type Make = fn(&str) -> Media;
        let all: [(Make, &str); 6] = [
            (png, "image/png"),
            (jpeg, "image/jpeg"),
            (webp, "image/webp"),
            (mp4, "video/mp4"),
            (m4a, "audio/m4a"),
            (certificate, "application/pdf"),
        ];
        for (make, expected) in all {
            let (one, two) = (make("job 1"), make("job 22"));
            assert_eq!(infer::get(&one.bytes).unwrap().mime_type(), expected);
            assert_ne!(one.bytes, two.bytes);
            assert_eq!(one.bytes, make("job 1").bytes);
        }
    }

    #[test]
    fn the_checksums_of_a_png_are_right() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        let zlib = stored_zlib(b"Wikipedia");
        assert_eq!(&zlib[zlib.len() - 4..], 0x11e6_0398_u32.to_be_bytes());
    }

    #[test]
    fn the_size_in_a_webp_is_the_size_of_the_file() {
        for name in ["job 1", "job 22"] {
            let bytes = webp(name).bytes;
            let size = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
            assert_eq!(size as usize + 8, bytes.len());
        }
    }
}
