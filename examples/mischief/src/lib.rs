//! A chaincode that misbehaves on request, for tests of the sandbox. The first argument says how; see [`invoke`].
//!
//! Each way ends its own transaction at most. Nothing here is an example to follow.

mod canary;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::time::SystemTime;

use selvedge_sdk::{Chaincode, Error, Level, Payload, Response, Stub};

/// The chaincode.
#[derive(Debug)]
pub struct Mischief;

selvedge_sdk::export!(Mischief);

impl Chaincode for Mischief {
    fn invoke(&self, stub: &Stub) -> Response {
        match invoke(stub) {
            Ok(response) => response,
            Err(error) => Response::error(error.to_string()),
        }
    }
}

/// The functions, by name.
///
/// | function | what it does |
/// |---|---|
/// | `panic [text]` | panics with that text |
/// | `exit <code>` | `std::process::exit` |
/// | `loop` | never ends |
/// | `spin <n>` | n rounds of arithmetic, then success |
/// | `memory [MiB]` | takes and writes memory, 1 MiB at a time; without a number until there is none |
/// | `recurse` | recursion without an end, in small frames (the sandbox's stack) |
/// | `stack` | the same in frames of 4 KiB (the module's own stack) |
/// | `canary` | reports `clean`, or what another transaction left in statics or heap; leaves its own mark |
/// | `chain <n> [name ...]` | canary, n reads and n writes, then the same in the chaincodes named, one in the other |
/// | `log <lines> <bytes>` | writes to the log |
/// | `print <lines> <bytes>` | writes to standard output and standard error |
/// | `payload <bytes>`, `message <bytes>` | a response of that size |
/// | `status <n>` | a response with that status |
/// | `event <bytes>` | an event of that size |
/// | `value <bytes>` | a write of that size |
/// | `values <n> <bytes>` | n writes of that size |
/// | `keys <n> <bytes>` | n reads of keys of that length |
/// | `queries <n>` | n range queries, left open to the end |
/// | `repeat <n> <name> [arg ...]` | invokes another chaincode n times; fails if one call fails |
/// | `swallow <name> [arg ...]` | invokes another chaincode and succeeds whatever it answers |
/// | `garble` | a response whose message is not UTF-8 |
/// | `lie` | a write whose value reaches past the end of memory |
/// | `clock` | what clocks and randomness show: the same on every endorser |
pub fn invoke(stub: &Stub) -> Result<Response, Error> {
    let (function, parameters) = stub.function_and_parameters()?;
    let text = |index: usize| parameters.get(index).map(String::as_str);
    let number = |index: usize| number(text(index));
    let filled = |index: usize| Ok::<_, Error>("x".repeat(number(index)?));
    let payload: Payload = match function.as_str() {
        "panic" => panic!("{}", text(0).unwrap_or("as asked")),
        "exit" => std::process::exit(i32::try_from(number(0)?).unwrap_or(1)),
        "loop" => endless(),
        "spin" => spin(number(0)?).to_string().into(),
        "memory" => memory(text(0).map_or(Ok(usize::MAX), |_| number(0))?).to_string().into(),
        "recurse" => recurse(0).to_string().into(),
        "stack" => stack(0).to_string().into(),
        "canary" => canary::report(&stub.txid()).into(),
        "chain" => chain(stub, number(0)?, parameters.get(1..).unwrap_or_default())?.into(),
        "log" => repeat(number(0)?, &filled(1)?, |line| stub.log(Level::Info, line)),
        "print" => repeat(number(0)?, &filled(1)?, |line| {
            println!("{line}");
            eprintln!("{line}");
        }),
        "payload" => filled(0)?.into(),
        "message" => return Ok(Response::error(filled(0)?)),
        "status" => return Ok(Response { status: signed(text(0))?, ..Response::success(()) }),
        "event" => stub.set_event("large", filled(0)?)?.into(),
        "value" => stub.put_state("large", filled(0)?)?.into(),
        "values" => {
            let value = filled(1)?;
            for key in 0..number(0)? {
                stub.put_state(&key.to_string(), &value)?;
            }
            ().into()
        }
        "keys" => {
            let prefix = filled(1)?;
            for key in 0..number(0)? {
                let _ = stub.get_state(&format!("{prefix}{key}"))?;
            }
            ().into()
        }
        "queries" => queries(stub, number(0)?)?.into(),
        "repeat" => repeat_call(stub, number(0)?, parameters.get(1..).unwrap_or_default())?.into(),
        "swallow" => swallow(stub, &parameters).into(),
        "garble" => return Ok(Response::error(not_text())),
        "lie" => stub.put_state("lie", beyond_memory())?.into(),
        "clock" => clock().into(),
        other => return Err(Error::new(format!("no such mischief: {other}"))),
    };
    Ok(Response::success(payload))
}

fn number(text: Option<&str>) -> Result<usize, Error> {
    let text = text.ok_or("a number is missing")?;
    text.parse().map_err(|_| Error::new(format!("{text} is not a number")))
}

fn signed(text: Option<&str>) -> Result<i32, Error> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Error::new("a status is missing"))
}

fn endless() -> ! {
    loop {
        black_box(());
    }
}

fn spin(rounds: usize) -> u64 {
    (0..rounds as u64).fold(1, |sum, round| black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round)))
}

/// Takes up to that many MiB, writes to every page, and says how many there were.
fn memory(mebibytes: usize) -> usize {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    while taken.len() < mebibytes {
        taken.push(vec![1; 1 << 20]);
    }
    black_box(&taken).len()
}

#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + 1
}

#[allow(unconditional_recursion)]
fn stack(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    stack(depth + 1) + black_box(frame)[7]
}

fn chain(stub: &Stub, operations: usize, names: &[String]) -> Result<String, Error> {
    let canary = canary::report(&stub.txid());
    for index in 0..operations {
        let key = format!("{}-{index}", stub.txid());
        let _ = stub.get_state(&key)?;
        stub.put_state(&key, [b'x'; 100])?;
    }
    let Some((next, rest)) = names.split_first() else { return Ok(canary) };
    let operations = operations.to_string();
    let args: Vec<&str> = ["chain", &operations].into_iter().chain(rest.iter().map(String::as_str)).collect();
    let answer = stub.invoke_chaincode(next, &args, "")?;
    if !answer.is_success() {
        return Err(Error::new(format!("{next}: {}", answer.message)));
    }
    Ok(format!("{canary} {}", String::from_utf8_lossy(&answer.payload_bytes())))
}

fn repeat(lines: usize, line: &str, write: impl Fn(&str)) -> Payload {
    (0..lines).for_each(|_| write(line));
    ().into()
}

fn queries(stub: &Stub, count: usize) -> Result<String, Error> {
    let open = (0..count).map(|_| stub.get_state_by_range("", "")).collect::<Result<Vec<_>, _>>()?;
    Ok(open.len().to_string())
}

fn repeat_call(stub: &Stub, times: usize, callee: &[String]) -> Result<String, Error> {
    let (name, args) = callee.split_first().ok_or("a name is missing")?;
    for _ in 0..times {
        let answer = stub.invoke_chaincode(name, args, "")?;
        if !answer.is_success() {
            return Err(Error::new(format!("{name}: {}", answer.message)));
        }
    }
    Ok(times.to_string())
}

fn swallow(stub: &Stub, parameters: &[String]) -> String {
    let Some((name, args)) = parameters.split_first() else { return "nobody to invoke".to_owned() };
    match stub.invoke_chaincode(name, args, "") {
        Ok(answer) => format!("swallowed status {}: {}", answer.status, answer.message),
        Err(error) => format!("swallowed: {error}"),
    }
}

fn clock() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09} {:016x}", since.as_secs(), since.subsec_nanos(), RandomState::new().build_hasher().finish())
}

#[allow(unsafe_code)]
fn not_text() -> String {
    // SAFETY: none; a chaincode in another language could send this, and the host has to bear it.
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe, 0xc0, 0x80]) }
}

/// Half the address space from the end of what a sandbox may have on. Never read on this side of the wall.
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)]
fn beyond_memory() -> &'static [u8] {
    // SAFETY: none, as for `not_text`.
    unsafe { std::slice::from_raw_parts(black_box(0x7000_0000 as *const u8), black_box(0x7000_0000)) }
}

#[cfg(not(target_family = "wasm"))]
fn beyond_memory() -> &'static [u8] {
    &[]
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::mock::MockStub;

    use super::*;

    fn text(args: &[&str]) -> String {
        String::from_utf8(MockStub::new(Mischief).invoke(args).payload_bytes()).unwrap()
    }

    #[test]
    #[should_panic(expected = "boom")]
    fn a_panic_says_what_it_was_told() {
        text(&["panic", "boom"]);
    }

    #[test]
    fn a_chain_calls_each_chaincode_in_the_other() {
        let peer = MockStub::new(Mischief);
        peer.on_invoke_chaincode("two", |args| {
            assert_eq!(args, [&b"chain"[..], b"3", b"three"]);
            Response::success("clean clean")
        });
        let answer = peer.invoke(&["chain", "3", "two", "three"]);
        assert!(answer.payload_bytes().ends_with(b" clean clean"), "{answer:?}");
        assert!(peer.state(&format!("{:064x}-2", 1)).is_some());
    }

    #[test]
    fn a_response_has_the_size_and_the_status_asked_for() {
        assert_eq!(text(&["payload", "1000"]).len(), 1000);
        assert_eq!(MockStub::new(Mischief).invoke(&["message", "7"]).message, "xxxxxxx");
        assert_eq!(MockStub::new(Mischief).invoke(&["status", "-1"]).status, -1);
        assert_eq!(text(&["memory", "2"]), "2");
    }

    #[test]
    fn a_failed_callee_is_swallowed() {
        let peer = MockStub::new(Mischief);
        peer.on_invoke_chaincode("other", |_| Response::error("no"));
        assert_eq!(peer.invoke(&["swallow", "other"]).payload_bytes(), b"swallowed status 500: no");
        assert!(peer.invoke(&["swallow", "nobody"]).payload_bytes().starts_with(b"swallowed: chaincode nobody"));
    }

    #[test]
    fn an_unknown_or_incomplete_request_is_refused() {
        assert_eq!(MockStub::new(Mischief).invoke(&["dance"]).message, "no such mischief: dance");
        assert_eq!(MockStub::new(Mischief).invoke(&["payload"]).message, "a number is missing");
    }
}
