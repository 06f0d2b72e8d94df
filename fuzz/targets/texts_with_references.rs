//! libFuzzer's way into `src/texts_with_references.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gateward_fuzz::run("texts_with_references", input));
