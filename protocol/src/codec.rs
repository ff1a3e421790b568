//! Encodes and decodes records. Only this module knows bincode, so that it can be replaced.
//! A record starts with its format version. Decoding refuses other versions, records over the limit, over-long fields
//! and trailing bytes. Callers hash and forward the bytes they received, never a re-encoding.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The format version: the first byte of every record.
pub const FORMAT_VERSION: u8 = 1;

/// The reason why bytes were refused.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// There are no bytes.
    #[error("empty record")]
    Empty,
    /// The record has a format that this version of Starling doesn't read.
    #[error("record of format {0}; this node reads format {FORMAT_VERSION}")]
    Version(u8),
    /// The record has more bytes than its limit.
    #[error("record of {0} bytes; at most {1} are allowed")]
    TooLong(usize, usize),
    /// The bytes don't decode as this type.
    #[error("malformed record")]
    Malformed(#[source] bincode::error::DecodeError),
    /// The parts of a frame don't fit its length, or its record is of another kind than it says.
    #[error("the parts of a frame don't fit together")]
    Framing,
    /// Bytes follow the end of the record.
    #[error("{0} bytes after the end of the record")]
    Trailing(usize),
}

/// bincode's own limit guards against length fields greater than the input.
const DECODE_BYTES_MAX: usize = 8 * 1024 * 1024;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>()
}

/// Encodes a record, preceded by its version byte.
pub fn encode<T: Serialize>(record: &T) -> Bytes {
    // bincode writes a `u8` as one byte, so the version comes first.
    bincode::serde::encode_to_vec((FORMAT_VERSION, record), bincode::config::standard())
        .expect("plain data of known shape always encodes")
        .into()
}

/// Decodes a record of at most `bytes_max` bytes, its version byte included.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLong(bytes.len(), bytes_max));
    }
    let body = body_of(bytes)?;
    let (record, read) = bincode::serde::decode_from_slice(body, config()).map_err(DecodeError::Malformed)?;
    match body.len() - read {
        0 => Ok(record),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

/// Decodes the beginning of a record, of which more fields may follow. Doesn't check the rest.
pub fn decode_beginning<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (beginning, _) =
        bincode::serde::decode_from_slice(body_of(bytes)?, config()).map_err(DecodeError::Malformed)?;
    Ok(beginning)
}

/// Checks the version byte; returns what follows it.
fn body_of(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&FORMAT_VERSION, body)) => Ok(body),
        Some((&version, _)) => Err(DecodeError::Version(version)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_round_trips() {
        let record = (7_u64, "text".to_owned(), vec![Bytes::from_static(b"x")]);
        let bytes = encode(&record);
        assert_eq!(decode::<(u64, String, Vec<Bytes>)>(&bytes, bytes.len()).unwrap(), record);
    }

    #[test]
    fn malformed_records_are_refused() {
        let bytes = encode(&"text".to_owned());
        let check = |bytes: &[u8], expected: fn(&DecodeError) -> bool| {
            let error = decode::<String>(bytes, 64).unwrap_err();
            assert!(expected(&error), "{bytes:?}: {error:?}");
        };
        check(&[], |e| matches!(e, DecodeError::Empty));
        check(&[9, 0], |e| matches!(e, DecodeError::Version(9)));
        check(&[FORMAT_VERSION; 65], |e| matches!(e, DecodeError::TooLong(65, 64)));
        check(&bytes[..bytes.len() - 1], |e| matches!(e, DecodeError::Malformed(_)));
        check(&[&bytes[..], &[0]].concat(), |e| matches!(e, DecodeError::Trailing(1)));
        // A length field of 2^64 - 1 must neither panic nor allocate.
        check(&[FORMAT_VERSION, 253, 255, 255, 255, 255, 255, 255, 255, 255], |e| {
            matches!(e, DecodeError::Malformed(_))
        });
    }
}
