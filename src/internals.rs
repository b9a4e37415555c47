//! The parts of the program that its tests and benchmarks use. Everything in them may change with any version.

#![allow(missing_docs, reason = "each is documented where it is defined")]

pub mod code {
    pub use crate::code::*;
}

pub mod crypto {
    pub use crate::crypto::*;
}

pub mod error {
    pub use crate::error::*;
}

pub mod event {
    pub use crate::event::*;
}

pub mod manifest {
    pub use crate::manifest::*;
}

pub mod net {
    pub use crate::net::*;
}

pub mod processor {
    pub use crate::processor::*;
}

pub mod rate_limiter {
    pub use crate::rate_limiter::*;
}

pub mod relay {
    pub use crate::relay::*;
}

pub mod route {
    pub use crate::route::*;
}

pub mod selection {
    pub use crate::selection::*;
}

pub mod state {
    pub use crate::state::*;
}

pub mod transfer {
    pub use crate::transfer::*;
}

pub mod wire {
    pub use crate::wire::*;
}
