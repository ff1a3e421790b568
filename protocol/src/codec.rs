//! The one place that knows bincode, so that it can be replaced: encode, and decode with every check.
//! A record starts with its format version; decoding refuses another version, more than its limit,
//! over-long fields and trailing bytes. Callers hash and forward the bytes received, never a re-encoding.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The format version that leads every record.
pub const FORMAT_VERSION: u8 = 1;

/// Why bytes were not accepted.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// No bytes at all.
    #[error("empty record")]
    Empty,
    /// Written by a version of Starling that this one does not read.
    #[error("record of format {0}; this node reads format {FORMAT_VERSION}")]
    Version(u8),
    /// More bytes than such a record may have.
    #[error("record of {0} bytes; at most {1} are allowed")]
    TooLong(usize, usize),
    /// The bytes do not describe such a record.
    #[error("malformed record")]
    Malformed(#[source] bincode::error::DecodeError),
    /// The record ends before the bytes do.
    #[error("{0} bytes behind the end of the record")]
    Trailing(usize),
}

/// bincode's own limit guards against length fields that promise more than the input holds.
const DECODE_BYTES_MAX: usize = 8 * 1024 * 1024;

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODE_BYTES_MAX>()
}

/// Encodes a record behind its version byte.
pub fn encode<T: Serialize>(record: &T) -> Bytes {
    // bincode writes a `u8` as that one byte, so the version leads.
    bincode::serde::encode_to_vec((FORMAT_VERSION, record), bincode::config::standard())
        .expect("plain data of known shape always encodes")
        .into()
}

/// Decodes a record of at most `bytes_max` bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, DecodeError> {
    if bytes.len() > bytes_max {
        return Err(DecodeError::TooLong(bytes.len(), bytes_max));
    }
    let (&version, body) = bytes.split_first().ok_or(DecodeError::Empty)?;
    if version != FORMAT_VERSION {
        return Err(DecodeError::Version(version));
    }
    let (record, read) = bincode::serde::decode_from_slice(body, config()).map_err(DecodeError::Malformed)?;
    match body.len() - read {
        0 => Ok(record),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives() {
        let record = (7_u64, "text".to_owned(), vec![Bytes::from_static(b"x")]);
        let bytes = encode(&record);
        assert_eq!(decode::<(u64, String, Vec<Bytes>)>(&bytes, bytes.len()).unwrap(), record);
    }

    #[test]
    fn other_bytes_are_refused() {
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
        // A length field that promises 2^64 - 1 bytes must neither panic nor allocate them.
        check(&[FORMAT_VERSION, 253, 255, 255, 255, 255, 255, 255, 255, 255], |e| {
            matches!(e, DecodeError::Malformed(_))
        });
    }
}
