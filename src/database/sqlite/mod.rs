pub mod introspection;
