//! Tests of what is shipped: see the files beside this one.
