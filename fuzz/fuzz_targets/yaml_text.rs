#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| egressctl::fuzzing::yaml_text(data));
