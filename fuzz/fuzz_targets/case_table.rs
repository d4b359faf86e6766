#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| egressctl::fuzzing::case_table(data));
