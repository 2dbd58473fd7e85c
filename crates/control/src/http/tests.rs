//! The doors: rights, versions, resume.

use super::openapi;

#[test]
fn every_route_is_documented_once() {
    let mut seen = std::collections::BTreeSet::new();
    for route in openapi::routes() {
        assert!(seen.insert(route.clone()), "{route:?} twice");
    }
    let document = openapi::build();
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document["paths"].to_string();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "no schema {name}");
    }
}
