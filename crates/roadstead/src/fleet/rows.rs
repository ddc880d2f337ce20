//! Fleet files of device rows alone, streamed: CSV (RFC 4180, head line names the columns) and
//! JSON lines.

use std::io::BufRead;

use super::document::json_error;
use super::{Device, Fleet, Row, RowError};
use roadstead_core::Secret;

/// Longest JSON line, bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Columns of a CSV file.
const COLUMNS: [&str; 7] =
    ["dialect", "product", "device", "device_id", "secret", "fingerprint", "gateway"];
/// Columns that every CSV file has.
const COLUMNS_NEEDED: [&str; 3] = ["dialect", "product", "device"];

type Reader = Box<dyn BufRead + Send>;

/// Device rows, one by one.
pub(crate) struct Devices(Source);

enum Source {
    Memory(std::vec::IntoIter<Row<Device>>),
    Csv { reader: csv::Reader<Reader>, columns: Vec<&'static str>, broken: bool },
    JsonLines { reader: Reader, line: u64, broken: bool },
}

impl Devices {
    /// Returns rows that are in memory.
    pub(super) fn memory(rows: Vec<Row<Device>>) -> Self {
        Self(Source::Memory(rows.into_iter()))
    }

    /// Returns how many rows are left, where that is known.
    pub(crate) fn len(&self) -> Option<usize> {
        match &self.0 {
            Source::Memory(rows) => Some(rows.len()),
            Source::Csv { .. } | Source::JsonLines { .. } => None,
        }
    }
}

impl Iterator for Devices {
    type Item = Result<Row<Device>, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Memory(rows) => rows.next().map(Ok),
            Source::Csv { broken: true, .. } | Source::JsonLines { broken: true, .. } => None,
            Source::Csv { reader, columns, broken } => next_record(reader, columns, broken),
            Source::JsonLines { reader, line, broken } => next_line(reader, line, broken),
        }
    }
}

pub(super) fn csv(reader: Reader) -> Result<Fleet, RowError> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(false).from_reader(reader);
    let head = reader.headers().map_err(|error| csv_error(&error, 1))?;
    let columns = head
        .iter()
        .map(|name| column(name.trim_start_matches('\u{feff}')))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(missing) = COLUMNS_NEEDED.iter().find(|name| !columns.contains(name)) {
        let message = format!("the head line has no column `{missing}`");
        return Err(RowError::unreadable(1, message));
    }
    Ok(fleet(Source::Csv { reader, columns, broken: false }))
}

fn column(name: &str) -> Result<&'static str, RowError> {
    COLUMNS.into_iter().find(|known| *known == name).ok_or_else(|| {
        let known = COLUMNS.join("`, `");
        RowError::unreadable(1, format!("unknown column `{name}`, expected one of `{known}`"))
    })
}

fn next_record(
    reader: &mut csv::Reader<Reader>,
    columns: &[&'static str],
    broken: &mut bool,
) -> Option<Result<Row<Device>, RowError>> {
    let mut record = csv::StringRecord::new();
    let line = reader.position().line();
    match reader.read_record(&mut record) {
        Ok(false) => None,
        Ok(true) => {
            let line = record.position().map_or(line, csv::Position::line);
            Some(device(&record, columns, line))
        }
        Err(error) => {
            *broken = matches!(error.kind(), csv::ErrorKind::Io(_));
            Some(Err(csv_error(&error, line)))
        }
    }
}

fn device(
    record: &csv::StringRecord,
    columns: &[&'static str],
    line: u64,
) -> Result<Row<Device>, RowError> {
    let cell = |name: &str| {
        let at = columns.iter().position(|column| *column == name)?;
        record.get(at).filter(|cell| !cell.is_empty()).map(str::to_owned)
    };
    let needed = |name: &str| {
        cell(name).ok_or_else(|| RowError::unreadable(line, format!("`{name}` is empty")))
    };
    let value = Device {
        dialect: needed("dialect")?,
        product: needed("product")?,
        device: needed("device")?,
        device_id: cell("device_id"),
        secret: cell("secret").map(Secret::from),
        fingerprint: cell("fingerprint"),
        gateway: cell("gateway"),
    };
    Ok(Row { line, value })
}

fn csv_error(error: &csv::Error, line: u64) -> RowError {
    let line = error.position().map_or(line, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, the head line {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8".to_owned(),
        csv::ErrorKind::Io(_)
        | csv::ErrorKind::Seek
        | csv::ErrorKind::Serialize(_)
        | csv::ErrorKind::Deserialize { .. }
        | _ => error.to_string(),
    };
    RowError::unreadable(line, message)
}

pub(super) fn json_lines(reader: Reader) -> Fleet {
    fleet(Source::JsonLines { reader, line: 0, broken: false })
}

fn next_line(
    reader: &mut Reader,
    line: &mut u64,
    broken: &mut bool,
) -> Option<Result<Row<Device>, RowError>> {
    use std::io::Read as _;

    loop {
        *line += 1;
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes);
        if let Err(error) = read {
            *broken = true;
            return Some(Err(RowError::unreadable(*line, error.to_string())));
        }
        if bytes.is_empty() {
            return None;
        }
        if bytes.len() == LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
            *broken = true;
            let message = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Some(Err(RowError::unreadable(*line, message)));
        }
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii();
        if text.is_empty() {
            continue;
        }
        let row = serde_json::from_slice(text)
            .map(|value| Row { line: *line, value })
            .map_err(|error| json_error(*line - 1, &error));
        return Some(row);
    }
}

fn fleet(source: Source) -> Fleet {
    let folder = std::path::PathBuf::new();
    Fleet { folder, products: Vec::new(), devices: Devices(source) }
}
