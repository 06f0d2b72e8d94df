//! libFuzzer's way into `src/admin_json.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("admin_json", input));
