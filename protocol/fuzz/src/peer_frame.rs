//! Fuzzes frames from peers, without their lengths.

use starling_protocol::{
    frame::peer::{PeerFrame, Presence},
    limits::{GUEST_NAME_CHARS_MAX, PEER_FRAME_BYTES_MAX},
};

use crate::text::assert_chars;

pub fn run(bytes: &[u8]) {
    let Ok(frame) = PeerFrame::decode(bytes) else { return };
    assert!(bytes.len() <= PEER_FRAME_BYTES_MAX, "decoded beyond the limit");
    let ours = frame.encode();
    assert!(ours.len() <= bytes.len(), "our own encoding is the shortest");
    assert_eq!(PeerFrame::decode(&ours).expect("our own encoding decodes"), frame);
    let present = match &frame {
        PeerFrame::Presence(Presence::Joined(present)) => present.as_slice(),
        PeerFrame::Presence(Presence::Left(present)) => std::slice::from_ref(present),
        _ => &[],
    };
    for present in present {
        assert_chars(present.name.as_str(), GUEST_NAME_CHARS_MAX);
    }
}
