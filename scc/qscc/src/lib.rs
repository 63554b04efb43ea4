//! qscc, the query system chaincode (`core/scc/qscc`): blocks and transactions of any channel of this peer.
//!
//! The host checks the caller's rights in each capability call, with the resource `qscc/<function>`, and finds the
//! ledger; here are the arguments and Fabric's texts. Invariant: a block passes as a blob and never enters this memory.
//!
//! The order is Fabric's: number of arguments, channel, access, and then the argument itself. An empty argument is one
//! (`nil` is what Fabric compares it with, and no message brings that), so it is looked for and not found. A function that
//! does not exist has no ACL either: access to it is denied.

use selvedge_sdk::{Blob, Chaincode, LedgerError, Response, Stub};

/// The chaincode.
#[derive(Debug)]
pub struct Qscc;

selvedge_sdk::export!(Qscc);

impl Chaincode for Qscc {
    fn invoke(&self, stub: &Stub) -> Response {
        let args = stub.args();
        match args.as_slice() {
            [function, channel, rest @ ..] => {
                let function = String::from_utf8_lossy(function);
                let channel = String::from_utf8_lossy(channel);
                Request { stub, function: &function, channel: &channel }.answer(rest.first().map(Vec::as_slice)).into()
            }
            _ => Response::error(format!("Incorrect number of arguments, {}", args.len())),
        }
    }
}

struct Request<'a> {
    stub: &'a Stub,
    function: &'a str,
    channel: &'a str,
}

impl Request<'_> {
    fn answer(&self, argument: Option<&[u8]>) -> Result<Blob, String> {
        let ledger = self.stub.ledger(self.channel);
        if self.function == "GetChainInfo" {
            let failed = |error| format!("Failed to get block info with error {error}");
            return ledger.chain_info().map_err(|error| self.refusal(error, failed));
        }
        let argument = argument.ok_or_else(|| format!("missing 3rd argument for {}", self.function))?;
        let text = String::from_utf8_lossy(argument);
        match self.function {
            "GetBlockByNumber" => {
                let number = block_number(argument).map_err(|refusal| self.admitted(refusal))?;
                let failed = |error| format!("Failed to get block number {number}, error {error}");
                ledger.block_by_number(number).map_err(|error| self.refusal(error, failed))
            }
            "GetBlockByHash" => {
                let failed = |error| format!("Failed to get block hash {text}, error {error}");
                ledger.block_by_hash(argument).map_err(|error| self.refusal(error, failed))
            }
            "GetTransactionByID" => {
                let failed = |error| format!("Failed to get transaction with id {text}, error {error}");
                ledger.transaction_by_id(&text).map_err(|error| self.refusal(error, failed))
            }
            "GetBlockByTxID" => {
                let failed = |error| format!("Failed to get block for txID {text}, error {error}");
                ledger.block_by_txid(&text).map_err(|error| self.refusal(error, failed))
            }
            function => Err(self.admitted(format!("Requested function {function} not found."))),
        }
    }

    /// A refusal that only those learn of who may ask on this channel; the others learn that they may not.
    fn admitted(&self, refusal: String) -> String {
        if let Err(error @ LedgerError::UnknownChannel) = self.stub.ledger(self.channel).chain_info() {
            return self.refusal(error, |reason| reason);
        }
        match self.stub.check_access(&format!("qscc/{}", self.function), self.channel) {
            Ok(()) => refusal,
            Err(reason) => self.refusal(LedgerError::AccessDenied(reason), |reason| reason),
        }
    }

    fn refusal(&self, error: LedgerError, failed: impl FnOnce(String) -> String) -> String {
        match error {
            LedgerError::UnknownChannel => format!("Invalid chain ID, {}", self.channel),
            LedgerError::AccessDenied(reason) => {
                format!("access denied for [{}][{}]: [{reason}]", self.function, self.channel)
            }
            LedgerError::Ledger(reason) => failed(reason),
        }
    }
}

/// Go's `strconv.ParseUint`: digits only, and its texts.
fn block_number(argument: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(argument);
    let failed =
        |why| format!("Failed to parse block number with error strconv.ParseUint: parsing {}: {why}", quoted(argument));
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    text.parse().map_err(|_| failed("value out of range"))
}

/// Go's `strconv.Quote`.
fn quoted(bytes: &[u8]) -> String {
    let mut quoted = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\x07' => quoted.push_str("\\a"),
                '\x08' => quoted.push_str("\\b"),
                '\x0b' => quoted.push_str("\\v"),
                '\x0c' => quoted.push_str("\\f"),
                '\'' => quoted.push('\''),
                '\n' | '\r' | '\t' | '"' | '\\' => quoted.extend(c.escape_debug()),
                '\0'..='\x1f' | '\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
                _ if c.escape_debug().len() == 1 => quoted.push(c),
                '\u{80}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
                _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            }
        }
        for byte in chunk.invalid() {
            quoted.push_str(&format!("\\x{byte:02x}"));
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::mock::MockStub;
    use selvedge_sdk::{AccessQuery, LedgerQuery};

    use super::*;

    fn peer() -> MockStub {
        let peer = MockStub::new(Qscc);
        peer.on_ledger(|channel, query| match (channel, query) {
            ("closed", _) => Err(LedgerError::AccessDenied("no policy".into())),
            ("mychannel", LedgerQuery::ChainInfo) => Ok(b"info".to_vec()),
            ("mychannel", LedgerQuery::BlockByNumber(number)) if number < 3 || number == u64::MAX => {
                Ok(format!("block {number}").into_bytes())
            }
            ("mychannel", LedgerQuery::BlockByHash(b"hash")) => Ok(b"by hash".to_vec()),
            ("mychannel", LedgerQuery::BlockByTxid("t1")) => Ok(b"by txid".to_vec()),
            ("mychannel", LedgerQuery::TransactionById("t1")) => Ok(b"transaction".to_vec()),
            ("mychannel", _) => Err(LedgerError::Ledger("Entry not found in index".into())),
            _ => Err(LedgerError::UnknownChannel),
        });
        peer.on_access(|query| match query {
            AccessQuery::Resource { channel: "closed", .. } => Err("no policy".into()),
            AccessQuery::Resource { resource: "qscc/Nothing", .. } => Err("Unmapped policy for qscc/Nothing".into()),
            _ => Ok(()),
        });
        peer
    }

    fn payload(args: &[&str]) -> String {
        let response = peer().invoke(args);
        assert!(response.is_success(), "{response:?}");
        String::from_utf8(response.payload_bytes()).unwrap()
    }

    fn refusal(args: &[&str]) -> String {
        let response = peer().invoke(args);
        assert_eq!(response.status, 500, "{response:?}");
        response.message
    }

    #[test]
    fn each_function_answers_with_what_the_ledger_holds() {
        assert_eq!(payload(&["GetChainInfo", "mychannel"]), "info");
        assert_eq!(payload(&["GetBlockByNumber", "mychannel", "2"]), "block 2");
        let newest = "18446744073709551615";
        assert_eq!(payload(&["GetBlockByNumber", "mychannel", newest]), format!("block {newest}"));
        assert_eq!(payload(&["GetBlockByHash", "mychannel", "hash"]), "by hash");
        assert_eq!(payload(&["GetBlockByTxID", "mychannel", "t1"]), "by txid");
        assert_eq!(payload(&["GetTransactionByID", "mychannel", "t1"]), "transaction");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = "error Entry not found in index";
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", "9"]), format!("Failed to get block number 9, {error}"));
        assert_eq!(refusal(&["GetBlockByHash", "mychannel", "x"]), format!("Failed to get block hash x, {error}"));
        assert_eq!(
            refusal(&["GetBlockByTxID", "mychannel", "t9"]),
            format!("Failed to get block for txID t9, {error}")
        );
        assert_eq!(
            refusal(&["GetTransactionByID", "mychannel", "t9"]),
            format!("Failed to get transaction with id t9, {error}")
        );
    }

    #[test]
    fn too_few_arguments_are_refused() {
        assert_eq!(refusal(&[]), "Incorrect number of arguments, 0");
        assert_eq!(refusal(&["GetChainInfo"]), "Incorrect number of arguments, 1");
        assert_eq!(refusal(&["GetBlockByHash", "mychannel"]), "missing 3rd argument for GetBlockByHash");
        assert_eq!(refusal(&["GetBlockByHash", "other"]), "missing 3rd argument for GetBlockByHash");
    }

    #[test]
    fn an_empty_argument_is_looked_for() {
        let error = "error Entry not found in index";
        let number = "Failed to parse block number with error strconv.ParseUint: parsing \"\": invalid syntax";
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", ""]), number);
        assert_eq!(refusal(&["GetBlockByHash", "mychannel", ""]), format!("Failed to get block hash , {error}"));
        let transaction = format!("Failed to get transaction with id , {error}");
        assert_eq!(refusal(&["GetTransactionByID", "mychannel", ""]), transaction);
        assert_eq!(refusal(&["GetBlockByTxID", "mychannel", ""]), format!("Failed to get block for txID , {error}"));
    }

    #[test]
    fn a_block_number_is_parsed_as_in_go() {
        let prefix = "Failed to parse block number with error strconv.ParseUint: parsing";
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", "+1"]), format!("{prefix} \"+1\": invalid syntax"));
        let odd = "1\u{7}\u{1}\u{ad}'\"";
        let text = r#""1\a\x01\u00ad'\"""#;
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", odd]), format!("{prefix} {text}: invalid syntax"));
        assert_eq!(quoted(b"\xff\x7f\xc3\xbc"), "\"\\xff\\x7f\u{fc}\"");
        let large = "18446744073709551616";
        let text = format!("{prefix} \"{large}\": value out of range");
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", large]), text);
    }

    #[test]
    fn an_unknown_channel_comes_before_a_bad_argument() {
        for args in [&["GetChainInfo", "other"][..], &["GetBlockByNumber", "other", "x"], &["Nothing", "other", "x"]] {
            assert_eq!(refusal(args), "Invalid chain ID, other");
        }
    }

    #[test]
    fn access_comes_before_a_bad_argument() {
        for args in [&["GetBlockByNumber", "closed", "x"][..], &["Nothing", "closed", "x"]] {
            assert_eq!(refusal(args), format!("access denied for [{}][closed]: [no policy]", args[0]));
        }
        // The list of ACLs knows the functions.
        let text = "access denied for [Nothing][mychannel]: [Unmapped policy for qscc/Nothing]";
        assert_eq!(refusal(&["Nothing", "mychannel", "x"]), text);
    }

    #[test]
    fn a_denial_names_function_and_channel() {
        let text = "access denied for [GetBlockByTxID][closed]: [no policy]";
        assert_eq!(refusal(&["GetBlockByTxID", "closed", "t1"]), text);
    }
}
