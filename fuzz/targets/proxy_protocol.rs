//! libFuzzer's way into `src/proxy_protocol.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("proxy_protocol", input));
