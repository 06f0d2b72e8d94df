//! libFuzzer's way into `src/reference.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("reference", input));
