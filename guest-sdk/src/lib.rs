//! min
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, missing_docs)]
pub mod bindings {
    wit_bindgen::generate!({
        path: ["../wit/chaincode", "../wit/peer"],
        world: "selvedge:peer/system-chaincode",
        generate_all,
        pub_export_macro: true,
        default_bindings_module: "selvedge_sdk::bindings",
    });
}
