//! Rooms of members on a store in memory.
