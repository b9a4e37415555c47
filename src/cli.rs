//! From words to a running command.
pub mod args;
pub mod menu;
