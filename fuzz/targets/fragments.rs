//! libFuzzer's way into `src/fragments.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("fragments", input));
