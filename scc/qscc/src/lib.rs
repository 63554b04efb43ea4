//! qscc, the query system chaincode (`core/scc/qscc`): blocks and transactions of any channel of this peer.
//!
//! The host checks the caller's rights in each capability call, with the resource `qscc/<function>`, and finds the
//! ledger; here are the arguments and Fabric's texts. Invariant: a block passes as a blob and never enters this memory.
//!
//! Fabric looks for the channel and checks access before it looks at the third argument; the channel comes first here
//! too, but a malformed argument is refused without an access check, since nothing was read. An empty argument counts
//! as missing ("must not be nil").

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
        match self.function {
            "GetBlockByNumber" => {
                let number = self.known(block_number(argument))?;
                let failed = |error| format!("Failed to get block number {number}, error {error}");
                ledger.block_by_number(number).map_err(|error| self.refusal(error, failed))
            }
            "GetBlockByHash" => {
                let hash = self.known(present(argument, "Block hash"))?;
                let failed =
                    |error| format!("Failed to get block hash {}, error {error}", String::from_utf8_lossy(hash));
                ledger.block_by_hash(hash).map_err(|error| self.refusal(error, failed))
            }
            "GetTransactionByID" => {
                let txid = String::from_utf8_lossy(self.known(present(argument, "Transaction ID"))?);
                let failed = |error| format!("Failed to get transaction with id {txid}, error {error}");
                ledger.transaction_by_id(&txid).map_err(|error| self.refusal(error, failed))
            }
            "GetBlockByTxID" => {
                let txid = String::from_utf8_lossy(self.known(present(argument, "Transaction ID"))?);
                let failed = |error| format!("Failed to get block for txID {txid}, error {error}");
                ledger.block_by_txid(&txid).map_err(|error| self.refusal(error, failed))
            }
            function => self.known(Err(format!("Requested function {function} not found."))),
        }
    }

    /// What Fabric says where the channel is unknown comes before what is wrong with an argument.
    fn known<T>(&self, argument: Result<T, String>) -> Result<T, String> {
        argument.map_err(|refusal| match self.stub.ledger(self.channel).chain_info() {
            Err(error @ LedgerError::UnknownChannel) => self.refusal(error, |reason| reason),
            _ => refusal,
        })
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

fn present<'a>(argument: &'a [u8], what: &str) -> Result<&'a [u8], String> {
    if argument.is_empty() { Err(format!("{what} must not be nil.")) } else { Ok(argument) }
}

/// Go's `strconv.ParseUint`: digits only, and its texts.
fn block_number(argument: &[u8]) -> Result<u64, String> {
    let text = String::from_utf8_lossy(present(argument, "Block number")?);
    let failed = |why| format!("Failed to parse block number with error strconv.ParseUint: parsing {text:?}: {why}");
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    text.parse().map_err(|_| failed("value out of range"))
}

#[cfg(test)]
mod tests {
    use selvedge_sdk::LedgerQuery;
    use selvedge_sdk::mock::MockStub;

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
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", ""]), "Block number must not be nil.");
        assert_eq!(refusal(&["GetBlockByHash", "mychannel", ""]), "Block hash must not be nil.");
        assert_eq!(refusal(&["GetTransactionByID", "mychannel", ""]), "Transaction ID must not be nil.");
    }

    #[test]
    fn a_block_number_is_parsed_as_in_go() {
        let prefix = "Failed to parse block number with error strconv.ParseUint: parsing";
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", "+1"]), format!("{prefix} \"+1\": invalid syntax"));
        let large = "18446744073709551616";
        let text = format!("{prefix} \"{large}\": value out of range");
        assert_eq!(refusal(&["GetBlockByNumber", "mychannel", large]), text);
    }

    #[test]
    fn an_unknown_channel_comes_before_a_bad_argument() {
        for args in [&["GetChainInfo", "other"][..], &["GetBlockByNumber", "other", "x"], &["Nothing", "other", "x"]] {
            assert_eq!(refusal(args), "Invalid chain ID, other");
        }
        assert_eq!(refusal(&["Nothing", "mychannel", "x"]), "Requested function Nothing not found.");
    }

    #[test]
    fn a_denial_names_function_and_channel() {
        let text = "access denied for [GetBlockByTxID][closed]: [no policy]";
        assert_eq!(refusal(&["GetBlockByTxID", "closed", "t1"]), text);
    }
}
