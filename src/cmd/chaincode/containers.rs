//! What runs on a peer, and what an administrator does to it: `ps`, `stop`, `rm`, `logs`. Not of Fabric.

use std::io::Write;

use anyhow::{Context, bail};
use selvedge_proto::common::{Envelope, HeaderType};
use selvedge_proto::containers::containers_client::ContainersClient;
use selvedge_proto::containers::operation::Operation as Call;
use selvedge_proto::containers::{
    ChaincodeStatus, ListChaincodes, Operation, ReadLogs, RemoveChaincode, StopChaincode,
};
use time::OffsetDateTime;
use time::macros::format_description;
use tonic::transport::Channel;

use super::invoke::Session;
use crate::client::create_signed_envelope;
use crate::cmd::services::RpcError;
use crate::cmd::table::table;

/// What to do.
pub(super) enum Request {
    Ps,
    Stop(String),
    Remove(String),
    Logs { chaincode: String, tail: u32, follow: bool, previous: bool },
}

impl Session {
    /// Does it on the first peer, and prints what there is to print.
    pub(super) async fn administer(&self, request: Request) -> anyhow::Result<()> {
        let connection = self.connector.peer("containers").await?;
        let mut peer = ContainersClient::new(connection.channel);
        match request {
            Request::Ps => {
                let list = peer.list(self.sign(Call::List(ListChaincodes {}))?).await.map_err(RpcError)?;
                crate::cmd::print(&crate::cmd::printable(processes(&list.into_inner().chaincodes).trim_end()))
            }
            Request::Stop(chaincode) => {
                let stop = StopChaincode { chaincode: checked(chaincode)? };
                peer.stop(self.sign(Call::Stop(stop))?).await.map_err(RpcError)?;
                Ok(())
            }
            Request::Remove(chaincode) => {
                let remove = RemoveChaincode { chaincode: checked(chaincode)? };
                peer.remove(self.sign(Call::Remove(remove))?).await.map_err(RpcError)?;
                Ok(())
            }
            Request::Logs { chaincode, tail, follow, previous } => {
                let logs = ReadLogs { chaincode: checked(chaincode)?, tail, follow, previous };
                print_lines(&mut peer, self.sign(Call::Logs(logs))?).await
            }
        }
    }

    fn sign(&self, call: Call) -> anyhow::Result<Envelope> {
        let operation = Operation { operation: Some(call) };
        Ok(create_signed_envelope(HeaderType::PeerAdminOperation, "", &operation, &self.signer)?)
    }
}

fn checked(chaincode: String) -> anyhow::Result<String> {
    if !chaincode.contains(':') {
        bail!(
            "'{chaincode}' is no chaincode with its version; write NAME:VERSION, as `selvedge chaincode ps` shows it"
        );
    }
    Ok(chaincode)
}

/// Line by line as they come, so that somebody may follow them.
async fn print_lines(peer: &mut ContainersClient<Channel>, request: Envelope) -> anyhow::Result<()> {
    let mut lines = peer.logs(request).await.map_err(RpcError)?.into_inner();
    let mut output = std::io::stdout();
    while let Some(line) = lines.message().await.map_err(RpcError)? {
        match writeln!(output, "{}", crate::cmd::printable(&line.line)).and_then(|()| output.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}

/// A table of chaincodes.
fn processes(chaincodes: &[ChaincodeStatus]) -> String {
    let header = ["CHAINCODE", "VM", "STATE", "SINCE", "MEMORY", "TRANSACTIONS"].map(str::to_owned);
    let rows = chaincodes.iter().map(|chaincode| {
        [
            chaincode.chaincode.clone(),
            if chaincode.vm.is_empty() { "-".to_owned() } else { chaincode.vm.clone() },
            chaincode.state.clone(),
            chaincode.since.and_then(|since| moment(since.seconds)).unwrap_or_else(|| "-".to_owned()),
            chaincode.memory.map_or_else(|| "-".to_owned(), mebibytes),
            chaincode.transactions.to_string(),
        ]
    });
    table(std::iter::once(header).chain(rows).collect())
}

fn moment(seconds: i64) -> Option<String> {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z");
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(format).ok()
}

/// With one digit behind the point.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use selvedge_proto::Timestamp;

    use super::*;

    #[test]
    fn a_table_shows_what_is_known() {
        let since = Some(Timestamp { seconds: 1_700_000_000, nanos: 5 });
        let asset = ChaincodeStatus {
            chaincode: "asset:1.0".into(),
            vm: "DOCKER".into(),
            state: "ready".into(),
            since,
            memory: Some(25_270_026),
            transactions: 3,
        };
        let dev = ChaincodeStatus { chaincode: "dev:1".into(), state: "ready".into(), since, ..Default::default() };
        let expected = [
            "CHAINCODE  VM      STATE  SINCE                 MEMORY    TRANSACTIONS",
            "asset:1.0  DOCKER  ready  2023-11-14 22:13:20Z  24.0 MiB  3",
            "dev:1      -       ready  2023-11-14 22:13:20Z  -         0",
        ];
        assert_eq!(processes(&[asset, dev]).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_chaincode_has_a_version() {
        let refused = checked("asset".into()).unwrap_err().to_string();
        assert!(refused.contains("NAME:VERSION"), "{refused}");
    }
}
