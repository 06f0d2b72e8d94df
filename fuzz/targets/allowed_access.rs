//! libFuzzer's way into `src/allowed_access.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("allowed_access", input));
