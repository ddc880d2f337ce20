//! Zip archives: packing, and unpacking what strangers packed. Every limit is checked before the
//! bytes are made, and again while they are made: the sizes in an archive are claims.
//!
//! Not here: what the files mean. Dialects see paths and bytes.

use std::io::{Cursor, Read as _, Write as _};

use roadstead_dialects::{Archive, Problem};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Most entries of an archive: 500 services with their folders.
const ENTRIES_MAX: usize = 2048;
/// Longest path of an entry, bytes.
const PATH_BYTES_MAX: usize = 512;
/// Largest file of an archive, unpacked, bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Largest archive, unpacked, bytes.
const TOTAL_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most bytes that one packed byte may become, above [`RATIO_FLOOR`].
const RATIO_MAX: u64 = 200;
/// Files up to this size may have any ratio, bytes: short JSON packs well.
const RATIO_FLOOR: u64 = 64 * 1024;

/// Files of an archive: path and content.
pub type Files = Vec<(String, Vec<u8>)>;

/// True when the bytes begin as zip archives do, empty ones included.
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Unpacks an archive into memory.
///
/// # Errors
///
/// `import.not_archive` when it is damaged, encrypted, packed by another method than deflate,
/// leaves its folder, or exceeds a limit.
pub fn unpack(bytes: &[u8]) -> Result<Files, Problem> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| bad(format!("the file is not a zip archive: {error}")))?;
    if archive.len() > ENTRIES_MAX {
        return Err(bad(format!("{} entries, at most {ENTRIES_MAX} are read", archive.len())));
    }
    let (mut files, mut total) = (Files::new(), 0u64);
    for n in 0..archive.len() {
        let entry = archive.by_index(n).map_err(|error| bad(format!("entry {n}: {error}")))?;
        let path = entry.name().map_err(|error| bad(format!("entry {n}: {error}")))?.into_owned();
        let shown: String = path.chars().take(80).collect();
        if path.len() > PATH_BYTES_MAX {
            return Err(bad(format!("`{shown}…`: the path is longer than {PATH_BYTES_MAX} bytes")));
        }
        if entry.encrypted() || entry.is_symlink() || entry.enclosed_name().is_none() {
            let rule = "an entry is a plain file inside the archive, neither encrypted nor a link";
            return Err(bad(format!("`{shown}`: {rule}")));
        }
        let ceiling = entry.compressed_size().saturating_mul(RATIO_MAX).max(RATIO_FLOOR);
        let limit = ceiling.min(FILE_BYTES_MAX);
        let mut content = Vec::new();
        let read = entry.take(limit + 1).read_to_end(&mut content);
        read.map_err(|error| bad(format!("`{shown}`: {error}")))?;
        let size = content.len() as u64;
        total += size;
        if size > limit || total > TOTAL_BYTES_MAX {
            return Err(bad(format!(
                "`{shown}`: unpacked it is beyond the limits ({FILE_BYTES_MAX} bytes a file, \
                 {TOTAL_BYTES_MAX} bytes in all, {RATIO_MAX} times the packed size)"
            )));
        }
        files.push((path, content));
    }
    Ok(files)
}

/// Packs an archive. The same files give the same bytes: no dates.
///
/// # Errors
///
/// `import.not_archive` when a path cannot be packed.
pub fn pack(archive: &Archive) -> Result<Vec<u8>, Problem> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default());
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, content) in &archive.files {
        let entry = writer.start_file(path.as_str(), options);
        entry.map_err(|error| bad(format!("`{path}`: {error}")))?;
        writer.write_all(content).map_err(|error| bad(format!("`{path}`: {error}")))?;
    }
    let finished = writer.finish().map_err(|error| bad(format!("packing: {error}")))?;
    Ok(finished.into_inner())
}

fn bad(text: String) -> Problem {
    Problem::new("import.not_archive", text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone()));
        pack(&Archive { name: "a.zip".into(), files: files.collect() }).expect("packs")
    }

    fn refusal(bytes: &[u8]) -> String {
        let problem = unpack(bytes).expect_err("refused");
        assert_eq!(problem.code, "import.not_archive");
        problem.message
    }

    #[test]
    fn bombs_and_strangers_are_refused() {
        assert!(refusal(b"Rar!\x1a\x07").contains("not a zip archive"));
        assert!(refusal(b"").contains("not a zip archive"));
        assert!(refusal(&packed(&[("../up", vec![1])])).contains("inside the archive"));
        assert!(refusal(&packed(&[("a", vec![0; 200_000])])).contains("200 times the packed size"));
        let path = "x".repeat(PATH_BYTES_MAX + 1);
        assert!(refusal(&packed(&[(&path, vec![1])])).contains("longer than 512 bytes"));
        let noise = |n: u32| n.wrapping_mul(2_654_435_761).to_le_bytes();
        let big: Vec<u8> = (0..300_000).flat_map(noise).collect();
        assert!(refusal(&packed(&[("a", big)])).contains("1048576 bytes a file"));
        let many: Vec<String> = (0..=ENTRIES_MAX).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), Vec::new())).collect();
        assert!(refusal(&packed(&many)).contains("2049 entries"));
        let half: Vec<u8> = (0..250_000).flat_map(noise).collect();
        let heavy = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|p| (p, half.clone()));
        assert!(refusal(&packed(&heavy)).contains("8388608 bytes in all"));
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks(
            files in proptest::collection::btree_map("[a-z]{1,8}/[a-z]{1,8}", any::<Vec<u8>>(), 0..5)
        ) {
            let files: Files = files.into_iter().collect();
            let archive = Archive { name: "a.zip".into(), files };
            let bytes = pack(&archive).expect("packs");
            prop_assert!(is_zip(&bytes));
            prop_assert_eq!(&bytes, &pack(&archive).expect("packs"));
            prop_assert_eq!(unpack(&bytes).expect("unpacks"), archive.files);
        }

        #[test]
        fn damaged_archives_never_panic(at in 0usize..400, byte: u8, cut in 0usize..400) {
            let mut bytes = packed(&[("a/b", b"some content that is packed".to_vec())]);
            let n = at % bytes.len();
            bytes[n] = byte;
            drop(unpack(&bytes));
            bytes.truncate(cut);
            drop(unpack(&bytes));
        }
    }
}
