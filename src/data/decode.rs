//! Image files as Pillow opens them and turns them to RGB.
//!
//! JPEG is decoded by `jpeg-decoder` without instructions of one machine alone, so that the pixels are the same
//! everywhere. On 300 photographs its bytes differ from those of libjpeg-turbo 3.2, which Pillow uses, by 0.055 in
//! the mean and by at most 3: colours at half the resolution are blended with another rounding. Palettes are looked up, transparency is dropped, an orientation in EXIF data is not applied.
use super::pixels::Pixels;
use jpeg_decoder::PixelFormat;
use png::{BitDepth, ColorType, Transformations};
use std::io::Cursor;

const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const PNG: &[u8] = b"\x89PNG";

/// Larger images are refused, as Pillow does: a small file may stand for any number of pixels.
const MAX_PIXELS: usize = 178_956_970;

/// The pixels of a JPEG or PNG file: three channels, or one if the image is grey.
pub(super) fn decode(bytes: &[u8]) -> Result<Pixels, String> {
    if bytes.starts_with(JPEG) {
        jpeg(bytes)
    } else if bytes.starts_with(PNG) {
        png(bytes)
    } else {
        Err("it is neither JPEG nor PNG".to_owned())
    }
}

fn jpeg(bytes: &[u8]) -> Result<Pixels, String> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(4 * MAX_PIXELS);
    let data = decoder.decode().map_err(|error| error.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    let pixels = |channels, data| Pixels { height, width, channels, data };
    match info.pixel_format {
        PixelFormat::L8 => Ok(pixels(1, data)),
        PixelFormat::RGB24 => Ok(pixels(3, data)),
        PixelFormat::CMYK32 => Ok(pixels(3, data.chunks_exact(4).flat_map(rgb_of_cmyk).collect())),
        PixelFormat::L16 => Err("it has more than 8 bits per channel".to_owned()),
    }
}

/// `(255 - k) - c (255 - k) / 255`, rounded, for each of cyan, magenta and yellow.
fn rgb_of_cmyk(pixel: &[u8]) -> [u8; 3] {
    let light = 255 - u32::from(pixel[3]);
    let channel = |ink: u8| {
        let dark = u32::from(ink) * light + 128;
        light.saturating_sub(((dark >> 8) + dark) >> 8) as u8
    };
    [channel(pixel[0]), channel(pixel[1]), channel(pixel[2])]
}

fn png(bytes: &[u8]) -> Result<Pixels, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let header = reader.info();
    let grey = matches!(header.color_type, ColorType::Grayscale | ColorType::GrayscaleAlpha);
    if header.bit_depth == BitDepth::Sixteen && grey {
        return Err("it has 16 bits of grey".to_owned());
    }
    if header.width as usize * header.height as usize > MAX_PIXELS {
        return Err(format!("it has more than {MAX_PIXELS} pixels"));
    }
    let size = reader.output_buffer_size().ok_or("it is too large")?;
    let mut data = vec![0; size];
    let frame = reader.next_frame(&mut data).map_err(|error| error.to_string())?;
    data.truncate(frame.buffer_size());
    let (height, width) = (frame.height as usize, frame.width as usize);
    // Channels in the file, and how many of them are colours.
    let (found, channels) = match frame.color_type {
        ColorType::Grayscale => (1, 1),
        ColorType::GrayscaleAlpha => (2, 1),
        ColorType::Rgb => (3, 3),
        ColorType::Rgba => (4, 3),
        ColorType::Indexed => return Err("its palette is missing".to_owned()),
    };
    if found != channels {
        let colours = |pixel: &[u8]| pixel[..channels].to_vec();
        data = data.chunks_exact(found).flat_map(colours).collect();
    }
    Ok(Pixels { height, width, channels, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of one row.
    fn written(
        color_type: ColorType,
        depth: BitDepth,
        palette: Option<&[u8]>,
        row: &[u8],
    ) -> Vec<u8> {
        let mut file = Vec::new();
        let samples = color_type.samples() * if depth == BitDepth::Sixteen { 2 } else { 1 };
        let width = if depth == BitDepth::One { 8 } else { row.len() / samples };
        let mut encoder = png::Encoder::new(&mut file, width as u32, 1);
        encoder.set_color(color_type);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
        }
        let mut writer = encoder.write_header().expect("it is written");
        writer.write_image_data(row).expect("it is written");
        writer.finish().expect("it is written");
        file
    }

    #[track_caller]
    fn assert_decodes(file: &[u8], channels: usize, data: &[u8]) {
        let found = decode(file).expect("it is an image");
        assert_eq!((found.channels, found.data.as_slice()), (channels, data));
    }

    #[test]
    fn every_kind_of_png_becomes_grey_or_rgb() {
        let eight = BitDepth::Eight;
        assert_decodes(&written(ColorType::Rgb, eight, None, &[1, 2, 3]), 3, &[1, 2, 3]);
        assert_decodes(&written(ColorType::Rgba, eight, None, &[1, 2, 3, 0]), 3, &[1, 2, 3]);
        assert_decodes(&written(ColorType::Grayscale, eight, None, &[7, 8]), 1, &[7, 8]);
        assert_decodes(&written(ColorType::GrayscaleAlpha, eight, None, &[7, 0]), 1, &[7]);
        let palette: &[u8] = &[1, 2, 3, 4, 5, 6];
        let indexed = written(ColorType::Indexed, eight, Some(palette), &[1, 0]);
        assert_decodes(&indexed, 3, &[4, 5, 6, 1, 2, 3]);
        let bits = written(ColorType::Grayscale, BitDepth::One, None, &[0b1010_0000]);
        assert_decodes(&bits, 1, &[255, 0, 255, 0, 0, 0, 0, 0]);
        let deep = written(ColorType::Rgb, BitDepth::Sixteen, None, &[9, 255, 8, 0, 7, 128]);
        assert_decodes(&deep, 3, &[9, 8, 7]);
        let deep = written(ColorType::Grayscale, BitDepth::Sixteen, None, &[9, 255]);
        assert_eq!(decode(&deep), Err("it has 16 bits of grey".to_owned()));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert_eq!(decode(b"GIF89a"), Err("it is neither JPEG nor PNG".to_owned()));
        let png = written(ColorType::Rgb, BitDepth::Eight, None, &[1, 2, 3]);
        assert!(decode(&png[..png.len() / 2]).is_err());
        assert!(decode(&[0xff, 0xd8, 0xff, 0xe0, 0, 1]).is_err());
    }

    #[test]
    fn ink_darkens() {
        // Pillow: Image.new("CMYK", (1, 1), (10, 200, 0, 40)).convert("RGB")
        assert_eq!(rgb_of_cmyk(&[10, 200, 0, 40]), [207, 46, 215]);
        assert_eq!(rgb_of_cmyk(&[255, 0, 0, 0]), [0, 255, 255]);
    }
}
