//! The bugs that can be planted, one at a time, to see that the simulator finds them. Each stands
//! where the simulator drives the product; the product itself has no hooks.

use crate::faults::Fault;

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A post is acked when it is queued.
    AckBeforeCommit,
    /// Peers are told that events are durable when they are queued.
    ConfirmBeforeDurable,
    /// A disk confirms a sync that it has not done.
    FsyncSkipped,
    /// A commit is acked before the journal is synced.
    AckBeforeJournalSync,
    /// The journal is emptied before a checkpoint has written what it holds.
    JournalEmptiedEarly,
    /// A failed sync is tried again, and the writes that the first one lost count as durable.
    FailedSyncRetried,
    /// An ack counts confirmations of earlier links, from before the peer's disk was rolled back or lost.
    CopiesOfEarlierLink,
    /// A process continues the origin of the process before it, also after a rollback.
    OriginContinued,
    /// A message that is sent again counts as another one.
    ResendListedTwice,
    /// A cursor covers the last commit although the lane is not drained.
    CursorAheadOfLane,
    /// A cursor covers events that no other disk holds, while a peer is in sync.
    CursorAheadOfLostDisk,
    /// One cursor serves all rooms: it advances over events of another room's lane.
    CursorOverAnotherLane,
    /// A session enters its lane only some time after its replay.
    LaneJoinedLate,
    /// A replay leaves out the events of one origin.
    ResumeSkipsOneOrigin,
    /// A post is not stamped above the messages that its client was shown or acked.
    FloorIgnored,
    /// Messages with equal stamps are listed in the order of arrival.
    UnstableTieBreak,
    /// Received events get the stamp of their arrival.
    StampedOnArrival,
    /// A pull is answered with a gap.
    PullWithGap,
    /// A node drops events that it does not understand.
    UnknownDropped,
    /// The creator of a room gets the answer before the peers in sync hold it.
    RoomAnsweredEarly,
    /// A node answers 'no such room' without asking its peers.
    NoBeforeCatchingUp,
    /// A leaving node waits only for the events of its last process.
    LeavesTooEarly,
    /// The replica does not learn that the writer's queue was full.
    RefusalForgotten,
    /// A registration is answered before the claim is confirmed.
    NameGivenUnconfirmed,
    /// A claim yields only to an earlier one, as if waiting were always mutual.
    ClaimOneSided,
    /// A claim that came too late stays.
    ClaimNotWithdrawn,
    /// The edit that arrived last shows.
    EditsAsTheyCame,
    /// Blocks by other nodes are not merged.
    BlockNotMerged,
    /// Events of deleted things stay in the log.
    ErasureForgotten,
    /// A replay leaves out events that cannot be read, as if they were not there.
    FailedReadIsEmpty,
    /// A node that cannot read does not say so in its heartbeat.
    DamageNotTold,
    /// A cursor is written over a fold as soon as its node has it.
    FoldUsedTooEarly,
    /// A vector is sent over a fold that the peer has not named on this link.
    LinkFoldUsedTooEarly,
    /// An unknown fold is taken as empty.
    UnknownFoldIsEmpty,
    /// The entries of a cursor that are below its fold are left out.
    LowerEntriesDropped,
    /// The newest fold of a mark is the one whose event came last.
    FoldsRankedByPos,
    /// The entries of a mark do not say whether they are below its fold.
    UnsignedEntries,
    /// A vector that is limited to nothing of an origin takes the entry of its fold.
    LimitZeroRemoves,
    /// Nodes that leave at the same time count each other as holders of what they hand over.
    LeaversCountEachOther,
    /// A node that hands over its last events goes on to confirm those of others.
    LeaverReceives,
    /// A forgotten node comes back without its store.
    ForgottenComesBackEmpty,
}

impl Mutant {
    pub const ALL: [Self; 41] = [
        Self::AckBeforeCommit,
        Self::ConfirmBeforeDurable,
        Self::FsyncSkipped,
        Self::AckBeforeJournalSync,
        Self::JournalEmptiedEarly,
        Self::FailedSyncRetried,
        Self::CopiesOfEarlierLink,
        Self::OriginContinued,
        Self::ResendListedTwice,
        Self::CursorAheadOfLane,
        Self::CursorAheadOfLostDisk,
        Self::CursorOverAnotherLane,
        Self::LaneJoinedLate,
        Self::ResumeSkipsOneOrigin,
        Self::FloorIgnored,
        Self::UnstableTieBreak,
        Self::StampedOnArrival,
        Self::PullWithGap,
        Self::UnknownDropped,
        Self::RoomAnsweredEarly,
        Self::NoBeforeCatchingUp,
        Self::LeavesTooEarly,
        Self::RefusalForgotten,
        Self::NameGivenUnconfirmed,
        Self::ClaimOneSided,
        Self::ClaimNotWithdrawn,
        Self::EditsAsTheyCame,
        Self::BlockNotMerged,
        Self::ErasureForgotten,
        Self::FailedReadIsEmpty,
        Self::DamageNotTold,
        Self::FoldUsedTooEarly,
        Self::LinkFoldUsedTooEarly,
        Self::UnknownFoldIsEmpty,
        Self::LowerEntriesDropped,
        Self::FoldsRankedByPos,
        Self::UnsignedEntries,
        Self::LimitZeroRemoves,
        Self::LeaversCountEachOther,
        Self::LeaverReceives,
        Self::ForgottenComesBackEmpty,
    ];

    /// The only kinds of fault that can show the bug, where among all kinds these too rarely meet: a node leaves while others are
    /// lost, or a client resumes on a disk that cannot be read.
    pub fn fault_kinds(self) -> Option<&'static [Fault]> {
        match self {
            Self::LeaversCountEachOther | Self::LeaverReceives => Some(&Fault::OF_LEAVING),
            Self::FailedReadIsEmpty => Some(&Fault::OF_DAMAGE),
            _ => None,
        }
    }
}
