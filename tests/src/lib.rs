//! Black-box tests: the filter's real binary in a real Envoy, over real mTLS.
//!
//! A test file is a [`suite`] of named tests that share one mesh ([`rig`]) and change its policy as they need. What the
//! ready-made clients of the lab would not send, [`raw`] and [`h2`] do; [`audit`] reads what the filter logs.

pub mod applies;
pub mod audit;
pub mod clock;
pub mod egressctl;
pub mod h2;
pub mod keepalive;
pub mod net;
pub mod prometheus;
pub mod raw;
pub mod rig;
pub mod suite;
