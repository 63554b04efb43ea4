//! An endorser that does nothing: what gRPC alone costs, with the same server and an answer of the same size.
//!
//! It runs in a process of its own, which is this program started again with [`ARGUMENT`] and the file of the answer. It
//! says its address on standard output and ends with its standard input.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use prost::Message;
use selvedge_proto::MAX_MESSAGE_SIZE;
use selvedge_proto::protos::endorser_server::{Endorser, EndorserServer};
use selvedge_proto::protos::{ProposalResponse, SignedProposal};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The argument that makes this program the endorser.
pub(crate) const ARGUMENT: &str = "canned-endorser";

/// The endorser's process.
pub(crate) struct Canned {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Canned {
    /// Starts an endorser that gives this answer to everything.
    pub(crate) fn start(folder: &Path, answer: &ProposalResponse) -> anyhow::Result<Self> {
        let file = folder.join("answer");
        std::fs::write(&file, answer.encode_to_vec())?;
        let mut process = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("it has no output")?).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().parse().context("the canned endorser has not said its address")? })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Canned {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

struct Answer(ProposalResponse);

#[tonic::async_trait]
impl Endorser for Answer {
    async fn process_proposal(&self, _: Request<SignedProposal>) -> Result<Response<ProposalResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }
}

/// What the process does: the runtime, the listener and the server are made as the node makes its own.
pub(crate) fn serve(file: &Path) -> anyhow::Result<()> {
    let answer = ProposalResponse::decode(std::fs::read(file)?.as_slice())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let endorser = EndorserServer::new(Answer(answer)).max_decoding_message_size(MAX_MESSAGE_SIZE);
        let server = Server::builder().add_service(endorser).serve_with_incoming(incoming);
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        tokio::select! {
            served = server => Ok(served?),
            _ = ended => Ok(()),
        }
    })
}
