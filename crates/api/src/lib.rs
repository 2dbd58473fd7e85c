//! Request and response types, error codes and the OpenAPI document.
