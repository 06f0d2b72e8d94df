//! The gateway as a user has it: the real binary, real processes around it, and canaries in every secret.
//!
//! Each test tells one part of the story from its beginning to its end, with a gateway of its own, and at the end
//! searches all that the gateway said and kept for the secrets that it was given.

mod bad_input;
mod broken_log;
mod broken_store;
mod command_line;
mod credential;
mod documents;
mod double;
mod function;
mod gateway;
mod health;
mod held;
mod hosts;
mod identity;
mod init;
mod invoke;
mod kill_nine;
mod lambda;
mod native;
mod observed;
mod one_at_a_time;
mod plot;
mod race;
mod revocations;
mod root_key;
mod rotation;
mod status_events;
mod table;
mod users_file;
mod vendor_client;
