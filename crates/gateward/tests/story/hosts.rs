//! One suite for both hosts: what a gateway does does not depend on how it was asked.
//!
//! Each case is written once, as a function of an [`Entry`]; it is run on the server host, and on the Lambda host with
//! each form of event that carries requests. What comes back is compared as a client would see it.

mod cases;
mod entry;
mod event;

use entry::{Entry, Way};

/// A test for each case and way in.
macro_rules! on_both_hosts {
    ($($case:ident)*) => {$(
        mod $case {
            use super::{Entry, Way, cases};

            #[test]
            fn on_the_server_host() {
                Entry::open(Way::Server, cases::$case);
            }

            #[test]
            fn on_the_lambda_host_behind_a_rest_api() {
                Entry::open(Way::RestApi, cases::$case);
            }

            #[test]
            fn on_the_lambda_host_behind_an_http_api() {
                Entry::open(Way::HttpApi, cases::$case);
            }

            #[test]
            fn on_the_lambda_host_behind_a_load_balancer() {
                Entry::open(Way::LoadBalancer, cases::$case);
            }
        }
    )*};
}

on_both_hosts! {
    an_upstream_sees_what_the_client_sent_and_the_client_what_the_upstream_said
    plugins_judge_rewrite_and_count
    references_are_resolved_and_fail_closed
    the_control_planes_answer_and_refuse_alike
    credentials_are_issued_and_revoked_on_time
    upstreams_and_producers_have_a_ca_of_their_own_and_are_shown_a_certificate
}
