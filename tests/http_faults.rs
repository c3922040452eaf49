//! Whether every fault of a request is answered as the HTTP contract says, through the host and without it.

mod support;

#[path = "http_faults/content.rs"]
mod content;
#[path = "http_faults/envelope.rs"]
mod envelope;
#[path = "http_faults/fault.rs"]
mod fault;
#[path = "http_faults/fields.rs"]
mod fields;
#[path = "http_faults/hostile.rs"]
mod hostile;
#[path = "http_faults/random.rs"]
mod random;
#[path = "http_faults/routing.rs"]
mod routing;
#[path = "http_faults/size.rs"]
mod size;
#[path = "http_faults/unknown.rs"]
mod unknown;
