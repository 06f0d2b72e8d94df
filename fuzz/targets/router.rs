//! libFuzzer's way into `src/router.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("router", input));
