//! `egressctl` from outside: every test runs the program.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod common;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod packing;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod suggest;
#[cfg(test)]
mod terminal;
