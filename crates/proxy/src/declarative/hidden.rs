//! Routes in files that no request can reach.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{Kind, ResourceId, Route, Service};
use gateward_router::{Hidden, Router};

use super::Declared;
use crate::snapshot::matching;
use crate::typed::parsable;

impl Declared {
    /// The uris of routes that no request can reach, each with what hides it.
    pub fn hidden(&self) -> Vec<Hidden> {
        let of_kind = |kind: Kind| {
            let own = self.resources.iter().filter(move |(own, _, _)| *own == kind);
            own.filter_map(|(_, id, json)| Some((ResourceId::parse(id).ok()?, json)))
        };
        let services: HashMap<String, Service> = of_kind(Kind::Services)
            .filter_map(|(id, json)| {
                Some((id.as_str().to_owned(), Service::parse(id, &parsable(Kind::Services, json)).ok()?))
            })
            .collect();
        let routes = of_kind(Kind::Routes)
            .filter_map(|(id, json)| Route::parse(id, &parsable(Kind::Routes, json)).ok());
        let matches = routes.filter(|route| route.enabled).map(|route| {
            let service = route.service.as_ref().and_then(|id| services.get(id.as_str()));
            (Arc::new(matching(&route, service)), ())
        });
        Router::compile(matches).1
    }
}
