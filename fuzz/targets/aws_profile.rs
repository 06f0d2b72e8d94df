//! libFuzzer's way into `src/aws_profile.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("aws_profile", input));
