//! The program's own congestion control on links of all kinds.
//!
//! - [`goodput`]: lossy, reordering, long and very short paths.
//! - [`queues`]: the length of the queue at the bottleneck, and the packets that it drops.
//! - [`adaptation`]: changes of the path and of the application.
//! - [`fairness`]: two streams over one bottleneck.
//! - [`downloads`]: whole downloads through a relay.

mod adaptation;
mod downloads;
mod fairness;
mod goodput;
mod harness;
mod queues;
