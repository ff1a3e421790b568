//! Measurements that hold for any server: an open-loop generator that costs little, the server's CPU time from the
//! operating system, and marks on what must not be believed.

mod client;
mod deliveries;
mod driver;
mod joining;
mod saturation;
mod spread;
mod stamp;
mod tally;
mod usage;

pub(crate) use deliveries::{Deliveries, Times, judge_lateness, measure};
pub(crate) use driver::{Driver, Sending};
pub(crate) use joining::{Layout, connect, join, prepare};
pub(crate) use saturation::{Saturation, saturate};
pub(crate) use spread::{Mark, Marked, Spread, marks_text};
pub(crate) use stamp::IdOrder;
pub(crate) use tally::Tally;
pub(crate) use usage::{Sample, judge as judge_usage};
