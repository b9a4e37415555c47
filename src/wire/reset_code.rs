//! The error codes of QUIC RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE frames.
//!
//! A relay passes the code of one side of a bridge to the other side unchanged; codes outside this table pass too.
//!
//! | code | constant | sent by | when |
//! |---|---|---|---|
//! | 1 | [`CANCELLED`] | all | they abandon the stream: a half is dropped unfinished, or a download fails |
//! | 2 | [`PEER_LOST`] | relay | the connection to the other side of the bridge timed out or failed |
//! | 3 | [`OVERRUN`] | relay | one direction of the bridge holds more than its limit |
//! | 4 | [`ENDED`] | sender | its share has ended |
//! | | | relay | it shuts down |
//! | | | all | they close a connection that they no longer need |
//! | 5 | [`PROTOCOL_ERROR`] | relay | the first frame of a client's stream, or a frame after it, is invalid |
//! | | | all | data arrives before it is the peer's turn |
//! | 6 | [`EVICTED`] | relay | the memory budget is exceeded, and this bridge has been blocked longest |
//! | | | relay | the memory budget has no room for another stream of a client |
//! | 7 | [`PEER_CLOSED`] | relay | the other side of the bridge closed its connection to the relay |
//! | 8 | [`UNCONFIRMED`] | sender | the peer of the session has not confirmed the code |

/// The stream is abandoned. Also the code of a stream half that is dropped before its end.
pub const CANCELLED: u32 = 1;

/// The relay lost the connection to the other side of the bridge. The other side may reattach.
pub const PEER_LOST: u32 = 2;

/// The bridge holds more than its limit: the sending end exceeded its credit.
pub const OVERRUN: u32 = 3;

/// The sender ended its share, or the relay shuts down. Also the code with which every end closes a connection.
pub const ENDED: u32 = 4;

/// The received bytes violate the protocol.
pub const PROTOCOL_ERROR: u32 = 5;

/// The relay is short of memory. It evicted this bridge, whose data has been blocked longest, or refused this stream.
pub const EVICTED: u32 = 6;

/// The other side of the bridge closed its connection to the relay: it has left, or has opened another connection.
pub const PEER_CLOSED: u32 = 7;

/// The sender ended a session whose peer never confirmed the code. The relay counts these sessions, so that it can
/// refuse sources that guess codes.
pub const UNCONFIRMED: u32 = 8;
