//! `egressctl` from outside: every test runs the program.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod common;
#[cfg(test)]
mod differences;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod hostile_logs;
#[cfg(test)]
mod logs;
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
