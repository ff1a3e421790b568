//! A run of a lane's frames that a group writes to its readers: one slice, whatever its number of frames.

use bytes::Bytes;
use starling_protocol::UserId;

use super::super::visibility::Visibility;
use crate::lane::{CommitPoint, Frame, Lagged, Subscription};

/// Consecutive frames of a lane, up to its end.
#[derive(Debug)]
pub struct Run {
    /// The position of the first frame.
    first: u64,
    frames: Vec<Frame>,
    /// The end of each frame in `wire`.
    ends: Vec<usize>,
    wire: Bytes,
    /// A commit whose frames all lie before the end of the run.
    pub point: CommitPoint,
    /// The smallest and the greatest commit of a logged frame. Without one, the first is the greater.
    commits: (u64, u64),
    /// Whether there are only frames that are sent as they are.
    is_plain: bool,
    /// The users who acted, each once, and whether ephemerally.
    actors: Vec<(UserId, bool)>,
}

impl Run {
    /// Takes everything that is in a lane beyond the position of a subscription.
    ///
    /// # Errors
    /// [`Lagged`] if the lane no longer holds the next frame.
    pub fn take(lane: &mut Subscription) -> Result<Self, Lagged> {
        let (first, mut frames) = (lane.position(), Vec::new());
        let (_, point) = lane.take_with_commit(usize::MAX, &mut frames)?;
        let (mut ends, mut end) = (Vec::with_capacity(frames.len()), 0);
        let (mut commits, mut actors) = ((Frame::EPHEMERAL, 0), Vec::new());
        for frame in &frames {
            end += frame.wire.len();
            ends.push(end);
            actors.extend(frame.from.map(|user| (user, frame.is_ephemeral())));
            if !frame.is_ephemeral() {
                commits = (commits.0.min(frame.commit), commits.1.max(frame.commit));
            }
        }
        actors.sort_unstable();
        actors.dedup();
        let is_plain = !frames.iter().any(Frame::is_invalidation);
        let wire = match &frames[..] {
            [frame] => frame.wire.clone(),
            frames => {
                let mut wire = Vec::with_capacity(end);
                for frame in frames {
                    wire.extend_from_slice(&frame.wire);
                }
                wire.into()
            }
        };
        Ok(Self { first, frames, ends, wire, point, commits, is_plain, actors })
    }

    /// Returns the position after the last frame.
    pub fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// Returns whether there are no frames.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns whether the commits of all frames are published: a cursor can cover them.
    pub fn is_published(&self) -> bool {
        self.commits.1 <= self.point.number
    }

    /// Returns the number of frames before a position; `None` if the position lies outside of the run.
    pub fn skip_to(&self, position: u64) -> Option<usize> {
        let skip = usize::try_from(position.checked_sub(self.first)?).ok()?;
        (skip <= self.frames.len()).then_some(skip)
    }

    /// Returns whether there are only frames that are sent as they are, and none of [`Frame::invalidate`].
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Returns whether a user sees all frames.
    pub fn is_shown_to(&self, visibility: &Visibility) -> bool {
        self.actors.iter().all(|&(user, is_ephemeral)| visibility.shows_user(user, is_ephemeral))
    }

    /// Returns whether all logged frames are of later commits than this one.
    pub fn is_after(&self, commit: u64) -> bool {
        self.commits.0 > commit
    }

    /// Returns the frames without the first `skip`.
    pub fn frames(&self, skip: usize) -> &[Frame] {
        &self.frames[skip..]
    }

    /// Returns the bytes of the frames without the first `skip`.
    pub fn wire(&self, skip: usize) -> &[u8] {
        &self.wire[self.begin(skip)..]
    }

    /// Splits [`Run::wire`] after `written` bytes. Returns the number of frames that were begun, and the rest of the last one
    /// of them.
    pub fn cut(&self, skip: usize, written: usize) -> (usize, &[u8]) {
        let written = self.begin(skip) + written;
        let begun = skip + self.ends[skip..].partition_point(|&end| end < written);
        match self.ends.get(begun) {
            // Nothing of the frame at `begun` was written.
            _ if self.begin(begun) == written => (begun - skip, &[]),
            Some(&end) => (begun + 1 - skip, &self.wire[written..end]),
            None => (begun - skip, &[]),
        }
    }

    fn begin(&self, frame: usize) -> usize {
        frame.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}
