//! The `selvedge` command.

#![forbid(unsafe_code)]

fn main() {}
