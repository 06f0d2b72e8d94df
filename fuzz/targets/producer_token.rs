//! libFuzzer's way into `src/producer_token.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("producer_token", input));
