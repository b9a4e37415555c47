//! Hostile clients of a real relay. Each loses its stream or its connection, and affects no other client.

mod bridges;
mod harness;
mod limits;
mod overload;
mod requests;
mod slots;
