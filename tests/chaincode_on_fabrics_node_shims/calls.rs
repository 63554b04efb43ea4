//! What is asked of every cell, in this order, and what has to come of it.
//!
//! `SELF` is the cell's chaincode. In what is wanted, `TXID` is the transaction. `! text` is an error that the chaincode
//! returned: shims before 2.5 send it as an ERROR message, of which the peer tells with words of its own. `!! text` is the
//! peer's error, the same for all.

use super::network::{CALLEE, Shim};

/// One call.
pub(crate) struct Call {
    pub(crate) title: String,
    pub(crate) how: How,
    /// The chaincode that the client calls.
    pub(crate) chaincode: &'static str,
    pub(crate) args: Vec<String>,
    pub(crate) wanted: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The response and the event.
    Ask,
    /// The same, with what was read and written, also in the namespace of whom the cells call.
    Sets,
    /// The validation code of the transaction, once it is committed.
    Submit,
}

impl Call {
    fn new(how: How, args: &[&str], wanted: &str) -> Self {
        let title = args.iter().map(|arg| if arg.is_empty() { "''" } else { arg }).collect::<Vec<_>>().join(" ");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Self { title, how, chaincode: "SELF", args, wanted: wanted.to_owned() }
    }

    fn of(self, chaincode: &'static str) -> Self {
        Self { title: format!("{chaincode}: {}", self.title), chaincode, ..self }
    }

    /// What has to come of it on this shim.
    pub(crate) fn wanted(&self, shim: Shim) -> String {
        match (self.wanted.strip_prefix("! "), self.wanted.strip_prefix("!! "), shim) {
            (Some(text), None, Shim::V2_2) => format!("! transaction returned with failure: {text}"),
            (None, Some(text), _) => format!("! {text}"),
            _ => self.wanted.clone(),
        }
    }
}

fn ask(args: &[&str], wanted: &str) -> Call {
    Call::new(How::Ask, args, wanted)
}

fn sets(args: &[&str], wanted: &str) -> Call {
    Call::new(How::Sets, args, wanted)
}

fn submit(args: &[&str], wanted: &str) -> Call {
    Call::new(How::Submit, args, wanted)
}

/// What a request is refused with, as chaincode that throws it on tells.
fn refused(args: &[&str], request: &str, cause: &str) -> Call {
    ask(args, &format!("! EX: {request} failed: transaction ID: TXID: {cause}"))
}

pub(crate) fn all(shim: Shim) -> Vec<Call> {
    let parts = [state(), ranges(), pages(shim), queries(), private_data(shim), policies(), calls(shim), messages()];
    parts.into_iter().flatten().collect()
}

fn state() -> Vec<Call> {
    vec![
        submit(&["seed"], "VALID"),
        submit(&["put", "old", "2"], "VALID"),
        submit(&["delete", "old"], "VALID"),
        sets(&["get", "kept"], r#""1" | r[kept]"#),
        sets(&["get", "never"], r#""" | r[never]"#),
        sets(&["put", "k", "v"], " | w[k=v]"),
        sets(&["put", "k", ""], " | w[k deleted]"),
        sets(&["delete", "never"], " | w[never deleted]"),
        sets(&["getThenPutThenGet", "kept", "2"], r#"["1","1"] | r[kept] w[kept=2]"#),
        sets(&["getManyAtOnce", "row", "5"], r#""v0 v1 v2 v3 v4" | r[row000 row001 row002 row003 row004]"#),
        sets(&["putMany", "p", "5000"], "5000 | w[5000: p000=v0..p999=v999]"),
        submit(&["putMebibyte", "m"], "VALID"),
        ask(&["getMebibyte", "m"], r#"[1048576,"a00d1a356de13b72a2b0ac1338e5cd6f2fd0c02dcb37bcfd06160c85a69c33bb"]"#),
    ]
}

/// Around the number of rows that are hashed (more than 50) and that are one answer (100).
fn ranges() -> Vec<Call> {
    let end = |rows: usize| format!("row{rows:03}");
    let mut calls = Vec::new();
    for rows in [49, 50, 51, 99, 100, 101, 250] {
        // What the peer has fetched when the chaincode has read this many: whole answers, and one row ahead.
        let fetched = |read: usize| rows.min(read.div_ceil(100) * 100 + 1);
        let set = |read: usize| {
            let fetched = fetched(read);
            let (last, whole) = if fetched > read.div_ceil(100) * 100 { (fetched - 1, "part") } else { (rows, "all") };
            let kind = if fetched > 50 { hashed(fetched) } else { format!("{fetched} listed") };
            format!("q[row000..{} {kind} {whole}]", end(last))
        };
        let rows_of = |read: usize| format!(r#"[{read},"row000","{}"]"#, end(read - 1));
        let to = end(rows);
        let half = rows / 2;
        // Read to the end, there is nothing ahead.
        let kind = if rows > 50 { hashed(rows) } else { format!("{rows} listed") };
        let whole = format!("{} | q[row000..{to} {kind} all]", rows_of(rows));
        calls.push(sets(&["range", "row000", &to], &whole));
        for end in ["close", "open"] {
            let wanted = format!("{} | {}", rows_of(half), set(half));
            calls.push(sets(&["range", "row000", &to, &half.to_string(), end], &wanted));
        }
    }
    calls.extend([
        sets(&["range", "x", "y"], "[0,null,null] | q[x..y none all]"),
        ask(&["range", "", "l"], r#"[3,"foreign","kept"]"#),
        ask(&["rangeOfAwait", "row000", "row101"], "101"),
        ask(&["interleaved", "row000", "row150"], "150"),
        submit(&["rangeThenPut", "row000", "row051", "counted"], "VALID"),
        submit(&["rangeThenPut", "row000", "row250", "counted"], "VALID"),
        ask(&["get", "counted"], r#""250""#),
    ]);
    calls
}

/// The summary of so many rows: leaves of more than 50 each.
fn hashed(rows: usize) -> String {
    format!("1x{} hashed", rows.div_ceil(51))
}

fn pages(shim: Shim) -> Vec<Call> {
    // A page without rows and bookmark is described by no bytes at all, which 2.5 takes for no description.
    let none = if shim == Shim::V2_5 { "[0,null,null]" } else { r#"[0,null,null,0,""]"# };
    vec![
        ask(&["page", "row000", "row250", "100", ""], r#"[100,"row000","row099",100,"row100"]"#),
        ask(&["page", "row000", "row250", "101", "row100"], r#"[101,"row100","row200",101,"row201"]"#),
        ask(&["page", "row000", "row250", "100", "row201"], r#"[49,"row201","row249",49,""]"#),
        ask(&["page", "row000", "row250", "250", ""], r#"[250,"row000","row249",250,""]"#),
        ask(&["page", "x", "y", "10", ""], none),
        refused(
            &["pageThenPut", "row000", "row250", "10", "k"],
            "PUT_STATE",
            "txid [TXID]: Transaction has already performed a paginated query. Writes are not allowed",
        ),
        sets(&["putComposite", "pair", "z", "9"], " | w[~pair~z~9~=c]"),
        ask(
            &["composite", "pair"],
            r#"[["pair","a","0"],["pair","a","2"],["pair","a","4"],["pair","b","1"],["pair","b","3"],["pair","b","5"]]"#,
        ),
        sets(
            &["composite", "pair", "b"],
            r#"[["pair","b","1"],["pair","b","3"],["pair","b","5"]] | q[~pair~b~..~pair~b~^ 3 listed all]"#,
        ),
        ask(&["compositePage", "2", "", "pair"], r#"[["a-0","a-2"],2,["","pair","a","4",""]]"#),
        ask(&["compositePage", "9", "\0pair\0a\u{0}4\0", "pair"], r#"[["a-4","b-1","b-3","b-5"],4,[""]]"#),
    ]
}

fn queries() -> Vec<Call> {
    vec![
        sets(
            &["rich", r#"{"selector":{"owner":"Ada","size":{"$gt":1}}}"#],
            r#"[["marble3","{\"docType\":\"marble\",\"owner\":\"Ada\",\"size\":3}"],["marble5","{\"docType\":\"marble\",\"owner\":\"Ada\",\"size\":5}"]] | r[marble3 marble5]"#,
        ),
        ask(&["richPages", r#"{"selector":{"owner":"Ada"}}"#, "2"], r#"[["marble1","marble3"],["marble5"]]"#),
        // With the index of the package.
        ask(
            &["richPages", r#"{"selector":{"owner":"Bob"},"sort":[{"owner":"desc"},{"size":"desc"}]}"#, "2"],
            r#"[["marble4","marble2"],["marble0"]]"#,
        ),
        ask(&["rich", r#"{"selector":{"owner":"Eve"}}"#], "[]"),
        ask(
            &["rich", r#"{"selector":{"size":{"$like":1}}}"#],
            "! EX: GET_QUERY_RESULT failed: transaction ID: TXID: error handling CouchDB request. \
             Error:invalid_operator,  Status Code:400,  Reason:Invalid operator: $like",
        ),
        ask(&["history", "old"], r#"[["1",false,true],["2",false,true],["",true,true]]"#),
        ask(&["history", "never"], "[]"),
    ]
}

fn private_data(shim: Shim) -> Vec<Call> {
    let reader =
        "tx creator does not have read access permission on privatedata in chaincodeName:SELF collectionName: theirs";
    let secret = r#""{\"docType\":\"marble\",\"owner\":\"Bob\",\"size\":0}""#;
    let purged = match shim {
        Shim::V2_5 => {
            "! EX: PURGE_PRIVATE_DATA failed: transaction ID: TXID: purge private data is not enabled, channel application \
             capability of V2_5 or later is required"
        }
        Shim::V2_2 => "! EX: stub.purgePrivateData is not a function",
    };
    let in_init = [
        "GET_STATE",
        "GET_PRIVATE_DATA_HASH",
        "PUT_STATE",
        "DEL_STATE",
        "GET_STATE_BY_RANGE",
        "GET_QUERY_RESULT",
        "GET_STATE_METADATA",
        "PUT_STATE_METADATA",
    ]
    .map(|request| {
        format!("{request} failed: transaction ID: TX: private data APIs are not allowed in chaincode Init()")
    });
    vec![
        ask(&["get", "said in Init"], &format!("\"{}\"", in_init.join(" "))),
        sets(&["privateGet", "ours", "secret0"], &format!("{secret} | ours(r1 w0 m0)")),
        ask(&["privateGet", "ours", "never"], r#""""#),
        refused(&["privateGet", "theirs", "secret"], "GET_STATE", reader),
        ask(
            &["privateHash", "theirs", "secret"],
            r#""f53e196bec3a1c8e36e1bedaf4761b75f1f5dd400b7f3301f906a7a04ce39d98""#,
        ),
        sets(&["privateDelete", "ours", "secret0"], " | ours(r0 w1 m0)"),
        ask(&["privatePurge", "ours", "secret0"], purged),
        ask(&["privateRange", "ours", "secret1", "secret4"], r#"[3,"secret1","secret3"]"#),
        refused(&["privateRange", "theirs", "", ""], "GET_STATE_BY_RANGE", reader),
        refused(
            &["privateRangeThenPut", "ours", "k"],
            "PUT_STATE",
            "txid [TXID]: Transaction has already performed queries on pvt data. Writes are not allowed",
        ),
        ask(&["privateComposite", "ours", "pair", "a"], r#"[["a","0"],["a","2"],["a","4"]]"#),
        ask(
            &["privateRich", "ours", r#"{"selector":{"size":4}}"#],
            r#"[["secret4","{\"docType\":\"marble\",\"owner\":\"Bob\",\"size\":4}"]]"#,
        ),
        refused(&["privateGet", "nowhere", "k"], "GET_STATE", "collection mychannel/SELF/nowhere could not be found"),
        refused(
            &["privateDelete", "nowhere", "k"],
            "DEL_STATE",
            "collection [nowhere] not defined in the collection config for chaincode [SELF]",
        ),
    ]
}

fn policies() -> Vec<Call> {
    vec![
        sets(&["policy", "kept"], r#"["SampleOrg"] | r[kept]"#),
        ask(&["policy", "row000"], "null"),
        sets(&["setPolicy", "row000", "PEER", "SampleOrg"], " | m[row000]"),
        submit(&["put", "kept", "2"], "VALID"),
        submit(&["put", "foreign", "2"], "ENDORSEMENT_POLICY_FAILURE"),
        ask(&["get", "foreign"], r#""1""#),
        ask(&["privatePolicy", "ours", "secret0"], r#"["SampleOrg"]"#),
        sets(&["setPrivatePolicy", "ours", "secret1", "SampleOrg"], " | ours(r0 w0 m1)"),
    ]
}

fn calls(shim: Shim) -> Vec<Call> {
    // An ERROR is no answer of the callee's: it fails the call.
    let swallowed = if shim == Shim::V2_5 { "swallowed status 500: no" } else { "swallowed: no" };
    let exists = "execute failed: error sending: txid: TXID(mychannel) exists";
    let refused_self = format!("failed: transaction ID: TXID: {exists}");
    let called = |answer: &str| format!(r#"{{"status":200,"message":"","payload":{answer}}}"#);
    let empty = called(r#""""#);
    vec![
        // On the same channel: the callee's part is in the caller's transaction.
        sets(&["call", CALLEE, "", "put", "k", "v"], &format!("{empty} | nothing | callee: w[k=v]")),
        sets(&["callThenPut", CALLEE, "k", "v"], " | w[k=outer v] | callee: w[k=v]"),
        ask(&["call", CALLEE, "mychannel", "get", "never"], &called(r#""\"\"""#)),
        ask(&["call", CALLEE, "", "status", "404", "none"], r#"{"status":404,"message":"none","payload":"body"}"#),
        ask(&["call", CALLEE, "", "error", "no"], r#"{"status":500,"message":"no","payload":""}"#),
        // On another: what it writes is lost.
        sets(&["call", CALLEE, "other", "put", "k", "v"], &format!("{empty} | nothing")),
        sets(&["call", "SELF", "other", "get", "kept"], &format!("{} | nothing", called(r#""\"\"""#))),
        refused(
            &["call", CALLEE, "nochannel", "empty"],
            "INVOKE_CHAINCODE",
            "Failed to get policy manager for channel [nochannel]",
        ),
        refused(&["call", "nobody", "", "empty"], "INVOKE_CHAINCODE", "chaincode nobody not found"),
        refused(&["call", "SELF", "", "empty"], "INVOKE_CHAINCODE", exists),
        // Back to the caller, by way of another.
        ask(
            &["call", CALLEE, "", "call", "SELF", "", "empty"],
            &format!(r#"{{"status":500,"message":"EX: INVOKE_CHAINCODE {refused_self}","payload":""}}"#),
        ),
        // To the sandbox, and from it.
        ask(&["height", "mychannel"], "[200,true]"),
        ask(&["height", "other"], "[200,true]"),
        ask(&["call", "asset", "", "list", "a", "b"], &called(r#""[]""#)),
        ask(&["call", "asset", "", "read", "a1"], r#"{"status":500,"message":"asset a1 does not exist","payload":""}"#),
        refused(
            &["call", "cscc", "", "GetChannels"],
            "INVOKE_CHAINCODE",
            "system chaincode cscc cannot be invoked with a cc2cc invocation",
        ),
        sets(&["repeat", "3", "SELF", "put", "k", "v"], "3 | w[k=v]").of("mischief"),
        ask(&["swallow", "SELF", "error", "no"], swallowed).of("mischief"),
        ask(
            &["call", "mischief", "", "swallow", "SELF", "empty"],
            &called(&format!(r#""swallowed: INVOKE_CHAINCODE {refused_self}""#)),
        ),
        sets(
            &["call", "mischief", "", "swallow", CALLEE, "put", "k", "v"],
            &format!("{} | nothing | callee: w[k=v]", called(r#""swallowed status 200: ""#)),
        ),
    ]
}

fn messages() -> Vec<Call> {
    vec![
        ask(&["event", "moved", "far"], " | event SELF.moved=far in TXID"),
        ask(&["twoEvents"], " | event SELF.second=2 in TXID"),
        ask(&["callForEvent", CALLEE], " | event SELF.caller=mine in TXID"),
        ask(&["call", CALLEE, "", "event", "its", "own"], r#"{"status":200,"message":"","payload":""}"#),
        ask(&["empty"], ""),
        ask(&["status", "201", "made"], "body | status 201 made"),
        ask(&["status", "399", "odd"], "body | status 399 odd"),
        ask(&["status", "404", "none"], "!! none | status 404 none"),
        ask(&["status", "499", "near"], "!! near | status 499 near"),
        ask(&["status", "500", "wrong"], "! wrong"),
        ask(&["error", "returned"], "! returned"),
        ask(&["throw", "thrown"], "! EX: thrown"),
        ask(&["nothing"], "! [mychannel-TXID8] Calling chaincode Invoke() has not called success or error."),
        ask(&["no such", "function"], "! no such function: no such"),
    ]
}
