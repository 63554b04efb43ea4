//! A chaincode that remembers greetings.

use selvedge_sdk::{Chaincode, Error, Response, Stub};

struct Greetings;

selvedge_sdk::export!(Greetings);

impl Chaincode for Greetings {
    fn invoke(&self, stub: &Stub) -> Response {
        greet(stub).into()
    }
}

fn greet(stub: &Stub) -> Result<Vec<u8>, Error> {
    let (function, parameters) = stub.function_and_parameters()?;
    match (function.as_str(), parameters.as_slice()) {
        ("greet", [name]) => {
            stub.put_state(name, format!("Hello, {name}"))?;
            Ok(Vec::new())
        }
        ("greeting", [name]) => Ok(stub.get_state(name)?.unwrap_or_default()),
        (other, _) => Err(Error::new(format!("there is no function {other} of that many parameters"))),
    }
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::mock::MockStub;

    use super::Greetings;

    #[test]
    fn a_greeting_is_remembered() {
        let peer = MockStub::new(Greetings);
        assert!(peer.invoke(&["greet", "Ada"]).is_success());
        assert_eq!(peer.invoke(&["greeting", "Ada"]).payload_bytes(), b"Hello, Ada");
    }
}
