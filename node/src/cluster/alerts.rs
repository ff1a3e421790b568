//! The TLS alerts with which handshakes between nodes are refused.

use quinn::ConnectionError;

/// TLS alerts, as QUIC carries them (RFC 9001, section 4.8).
const TLS_ALERTS: std::ops::Range<u64> = 0x100..0x200;
/// The alert of an endpoint that shares no protocol with the other (RFC 7301, section 3.2).
pub(super) const NO_APPLICATION_PROTOCOL: u64 = 0x178;
/// The alert of a node that dials another, whose secret was retired: `certificate_revoked` (RFC 8446, section 6.2).
pub(super) const CERTIFICATE_REVOKED: u64 = 0x12c;
/// The alert of a node that is dialled by one that accepts retired secrets alone: `access_denied`.
pub(super) const ACCESS_DENIED: u64 = 0x131;

/// Returns the TLS alert that ended a handshake.
pub(super) fn alert(error: &ConnectionError) -> Option<u64> {
    let code = match error {
        ConnectionError::TransportError(error) => u64::from(error.code),
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return None,
    };
    TLS_ALERTS.contains(&code).then_some(code)
}

/// Whether a handshake ended because the nodes share no wire version.
pub(super) fn shares_no_version(error: &ConnectionError) -> bool {
    alert(error) == Some(NO_APPLICATION_PROTOCOL)
}
