//! libFuzzer's way into `src/sts_answer.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("sts_answer", input));
