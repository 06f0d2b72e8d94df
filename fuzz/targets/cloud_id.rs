//! libFuzzer's way into `src/cloud_id.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("cloud_id", input));
