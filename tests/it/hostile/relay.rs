//! A hostile relay between a real sender and a real receiver.
//!
//! A receiver may fail, and its exit code says why: 4 if it noticed a manipulation, 5 if the stream was cut. It never
//! ends with 0 and a wrong file, and never gives an incomplete file its name. The sender serves the next receiver.

mod forged_alerts;
mod handshakes;
mod harness;
mod records;
mod replies;
mod secrecy;
