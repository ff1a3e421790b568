//! The bugs that can be planted, one at a time, to see that the simulator finds them. Each stands where the simulator
//! drives the product, at the place that its name says; the product itself has no hooks.

/// A known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A post is acked when it is queued.
    AckBeforeCommit,
    /// Peers are told that events are durable when they are queued.
    ConfirmBeforeDurable,
    /// A disk says that it has synced and has not.
    FsyncSkipped,
    /// A sync that fails is tried again, and what the first lost counts as durable.
    FailedSyncRetried,
    /// An ack counts what a peer confirmed on an earlier link, before its disk was rolled back or lost.
    CopiesOfEarlierLink,
    /// A process goes on under the origin of the one before it, after a rollback too.
    OriginContinued,
    /// A message that is sent again is taken for another one.
    ResendListedTwice,
    /// A cursor covers the last commit although the lane is not drained.
    CursorAheadOfLane,
    /// A cursor covers what no other disk has yet, while a peer is in sync.
    CursorAheadOfLostDisk,
    /// One cursor serves all rooms: it advances over what came in another room's lane.
    CursorOverAnotherLane,
    /// A session is in its lane only some time after its replay.
    LaneJoinedLate,
    /// A replay leaves out what one origin wrote.
    ResumeSkipsOneOrigin,
    /// What a client was shown or acked does not lift its next post.
    FloorIgnored,
    /// Stamps that are equal are listed in the order in which they came.
    UnstableTieBreak,
    /// Received events get the stamp of when they came.
    StampedOnArrival,
    /// A pull is answered with a gap.
    PullWithGap,
    /// Events that a node does not understand are dropped.
    UnknownDropped,
    /// The maker of a room is answered before the peers in sync have it.
    RoomAnsweredEarly,
    /// A node says that there is no such room without asking its peers.
    NoBeforeCatchingUp,
    /// A leaving node waits only for what its last process wrote.
    LeavesTooEarly,
    /// Nobody hears that the store's queue was full.
    RefusalForgotten,
    /// Whoever registers is answered before his claim is confirmed.
    NameGivenUnconfirmed,
    /// A claim yields only to an earlier one, as if whoever it counts had always counted it, too.
    ClaimOneSided,
    /// A claim that came too late stays.
    ClaimNotWithdrawn,
    /// Of the edits of a message the one that came last shows.
    EditsAsTheyCame,
    /// What another node says of a block is not merged.
    BlockNotMerged,
    /// What was deleted as a whole stays in the log.
    ErasureForgotten,
}

impl Mutant {
    pub const ALL: [Self; 27] = [
        Self::AckBeforeCommit,
        Self::ConfirmBeforeDurable,
        Self::FsyncSkipped,
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
    ];
}
