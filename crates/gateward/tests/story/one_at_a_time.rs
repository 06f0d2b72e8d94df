//! moto, one call at a time: it rolls a failed transaction back by putting an old copy of the whole table in place, and with it
//! whatever another call has done meanwhile.

use std::sync::{Mutex, PoisonError};

use gateward_testkit::{Asked, Double, Moto, Reply, http};

/// What stands in front of `moto`.
pub fn one_at_a_time(moto: &Moto) -> Double {
    let (url, turn) = (moto.url().to_owned(), Mutex::new(()));
    Double::start(move |asked| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        pass_on(&url, asked)
    })
}

/// What stands at `url` answers to `asked`.
pub fn pass_on(url: &str, asked: &Asked) -> Reply {
    let (method, target) = asked.what.split_once(' ').unwrap_or(("GET", "/"));
    let passed = ["content-type", "x-amz-target", "authorization", "x-amz-date", "x-amz-security-token"];
    let headers: Vec<(&str, &str)> =
        passed.iter().filter_map(|name| Some((*name, asked.header(name)?))).collect();
    let answer = http::request(method, &format!("{url}{target}"), &headers, asked.body.as_bytes());
    let reply = Reply::text(answer.status, answer.body.clone());
    match answer.header("content-type") {
        Some(kind) => reply.with_header("Content-Type", kind),
        None => reply,
    }
}
