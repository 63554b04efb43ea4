//! min
#[cfg(target_family = "wasm")]
mod m {
    use selvedge_sdk::bindings::{self as b, Guest, Payload, Response};
    struct A;
    impl Guest for A {
        fn init() -> Response {
            Response { status: 200, message: String::new(), payload: Payload::Bytes(Vec::new()) }
        }
        fn invoke() -> Response {
            let args = b::selvedge::chaincode::transaction::args();
            match args.first().map(Vec::as_slice) {
                Some(b"empty") => Self::init(),
                Some(b"panic") => panic!("asked to panic"),
                Some(b"get") => {
                    let key = String::from_utf8_lossy(&args[1]);
                    match b::selvedge::chaincode::state::get(&key) {
                        Ok(value) => Response { status: 200, message: String::new(), payload: Payload::Bytes(value.unwrap_or_default()) },
                        Err(e) => Response { status: 500, message: e, payload: Payload::Bytes(Vec::new()) },
                    }
                }
                Some(b"put") => {
                    let key = String::from_utf8_lossy(&args[1]);
                    match b::selvedge::chaincode::state::put(&key, &args[2]) {
                        Ok(()) => Self::init(),
                        Err(e) => Response { status: 500, message: e, payload: Payload::Bytes(Vec::new()) },
                    }
                }
                other => Response { status: 500, message: format!("unknown function {other:?}"), payload: Payload::Bytes(Vec::new()) },
            }
        }
    }
    #[allow(unsafe_code)]
    const _: () = { selvedge_sdk::bindings::export!(A with_types_in selvedge_sdk::bindings); };
}
