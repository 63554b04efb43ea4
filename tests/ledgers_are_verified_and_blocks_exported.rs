//! `selvedge ledger`: what it says of a ledger that is whole, of one that is not, and of one that a node works on; and a
//! block as JSON, from a file and from a peer.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use selvedge::ledger::LedgerProvider;
use selvedge::ledger::block::{header_hash, new_block};
use selvedge::testing::{CommandLine, Golden, Plugin, TestPeer};
use selvedge_proto::Message;
use selvedge_proto::common::Block;
use serde_json::Value;

fn command_line(folder: &Path, address: String) -> CommandLine {
    CommandLine::new(env!("CARGO_BIN_EXE_selvedge"), folder, address)
}

/// What would steer a terminal, as a progress bar does.
fn is_plain(text: &str) -> bool {
    text.chars().all(|letter| letter == '\n' || !letter.is_control())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_is_verified_while_no_node_works_on_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &[]).await?;
    let tool = command_line(folder.path(), peer.node().peer_address().to_string());
    let client = peer.client().await?;
    for key in ["a", "b"] {
        client.submit("asset", &["create", key, "Ada", "1"]).await?;
    }
    let running = tool.refusal(&["ledger", "verify", "mychannel"], &[]).await?;
    assert!(running.starts_with("Error: a node is running on ") && running.contains("stop it first"), "{running}");
    let genesis = peer.genesis("forged")?;
    peer.stop().await;

    let ended = tool.run_with(&["ledger", "verify", "mychannel"], &[]).await?;
    println!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "channel:       mychannel\n",
        "blocks:        3 of 3, the newest with the hash ",
        "transactions:  3, of them 3 valid\n",
        "signatures:    of 2 blocks\n",
        "configuration: 0 updates, the newest in block 0\n",
        "time:          ",
        "result:        whole\n",
    ] {
        assert!(ended.stdout.contains(line), "expected {line:?} in {}", ended.stdout);
    }
    assert!(is_plain(&ended.stdout) && is_plain(&ended.stderr), "a bar where there is no terminal: {ended:?}");
    let no_channel = tool.refusal(&["ledger", "verify", "other"], &[]).await?;
    assert!(no_channel.contains("there is no channel other in ") && no_channel.ends_with("there are: mychannel"));

    // A block that the ledger took and that nobody signed.
    let ledgers = folder.path().join("data/ledgers");
    {
        let provider = LedgerProvider::open(&ledgers)?;
        let genesis = Block::decode(genesis)?;
        let ledger = provider.create("forged", &genesis)?;
        let previous = header_hash(genesis.header.as_ref().context("a header")?);
        ledger.commit(
            new_block(1, Bytes::copy_from_slice(&previous), vec![Bytes::from_static(b"x")]),
            &[selvedge_proto::protos::TxValidationCode::InvalidOtherReason],
        )?;
    }
    let ended = tool.run_with(&["ledger", "verify", "forged"], &[]).await?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let damage = "damage:        block 1: ";
    assert!(ended.stdout.contains(damage) && !ended.stdout.contains("result:"), "{}", ended.stdout);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("Error: the ledger of channel forged is damaged in 1 places: start no node on it"),
        "{last}"
    );

    std::fs::write(ledgers.join("forged.redb"), b"no database")?;
    let unreadable = tool.refusal(&["ledger", "verify", "forged"], &[]).await?;
    assert!(unreadable.contains("the ledger of channel forged is damaged and cannot be opened: "), "{unreadable}");
    tool.done(&["ledger", "verify", "mychannel"]).await?;
    let nowhere = tool.refusal(&["ledger", "verify", "mychannel"], &[("CORE_PEER_FILESYSTEMPATH", "nowhere")]).await?;
    assert!(nowhere.contains("there are no ledgers in ") && !folder.path().join("nowhere").exists(), "{nowhere}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_printed_as_configtxlator_prints_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = TestPeer::start(folder.path(), &[Plugin::guest("asset", "asset")?], &[]).await?;
    let address = peer.node().peer_address().to_string();
    let tool = command_line(folder.path(), address.clone());
    peer.client().await?.submit("asset", &["create", "a", "Ada", "1"]).await?;

    let recorded = Golden::V1_4.path("blocks/block-012.block");
    let (stdout, _) = tool.done(&["ledger", "export", "--json", recorded.to_str().context("a path")?]).await?;
    assert_eq!(stdout.as_bytes(), &Golden::V1_4.read("blocks/block-012.json")?[..]);

    // From the peer, with what its committer wrote into the block; from the orderer, without.
    let fetched = tool.done(&["ledger", "export", "--json", "1", "-c", "mychannel"]).await?.0;
    let block: Value = serde_json::from_str(&fetched)?;
    assert_eq!(block["header"]["number"], "1");
    assert_eq!(block["metadata"]["metadata"][2], "AA==");
    let response = "/data/data/0/payload/data/actions/0/payload/action/proposal_response_payload/extension";
    let action = block.pointer(response).context("an action")?;
    assert_eq!(action["chaincode_id"]["name"], "asset");
    assert_eq!(action["results"]["ns_rwset"][0]["namespace"], "asset");
    assert!(!action["results"]["ns_rwset"][0]["rwset"]["writes"].as_array().context("writes")?.is_empty());
    let ordered = tool.done(&["ledger", "export", "--json", "newest", "-C", "mychannel", "-o", &address]).await?.0;
    let ordered: Value = serde_json::from_str(&ordered)?;
    assert_eq!(
        (&ordered["data"], &ordered["metadata"]["metadata"][2]),
        (&block["data"], &Value::String(String::new()))
    );

    std::fs::write(folder.path().join("garbage"), b"\x0a\xffno block")?;
    let table: [(&[&str], &str); 6] = [
        (&["ledger", "export", "--json", "garbage"], "Error: cannot read garbage: error unmarshaling common.Block: "),
        (
            &["ledger", "export", "--json", "no.block"],
            "Error: cannot read block file no.block; write a file, or newest, ",
        ),
        (&["ledger", "export", "--json", "1"], "Error: Must supply channel ID"),
        (&["ledger", "export", "--json", "1", "-c", "other"], "Error: can't read the block: &{NOT_FOUND}; "),
        (&["ledger", "export", "1"], ""),
        (&["ledger", "verify"], ""),
    ];
    for (arguments, expected) in table {
        let refused = tool.refusal(arguments, &[]).await?;
        assert!(refused.starts_with(expected), "expected {expected:?} of {arguments:?}, not {refused}");
    }
    peer.stop().await;
    Ok(())
}
