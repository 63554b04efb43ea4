//! What the orderer of the recorded Fabric 1.4 network refused, and its words.

use std::path::Path;

use base64::Engine;
use prost::bytes::Bytes;
use selvedge_proto::common::Block;

use super::*;
use crate::msp::development;

fn read(path: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1.4").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

#[test]
fn what_fabrics_orderer_refused_is_refused_in_its_words() {
    let place = tempfile::tempdir().expect("a directory");
    let made = development::ensure(&place.path().join("msp"), MSPID).expect("an MSP");
    let signer = Arc::new(SigningIdentity::load(&made.orderer, MSPID).expect("a key"));
    let recorded: Vec<serde_json::Value> = serde_json::from_slice(&read("orderer/broadcast.json")).expect("a list");
    // Block 34 lets everybody write.
    for (phase, block, refusals) in [("normal Writers policy", 4, 10), ("open Writers policy", 34, 1)] {
        let block = Block::decode(read(&format!("blocks/block-{block:03}.block"))).expect("a block");
        let channels = Arc::new(Channels::default());
        channels.put(Bundle::from_config_block(&block).expect("a configuration")).expect("supported");
        let processor = ChannelProcessor { channel: "goldchan".into(), channels, signer: signer.clone() };
        let entries: Vec<_> = recorded.iter().filter(|entry| entry["phase"] == phase).collect();
        assert_eq!(entries.len(), refusals, "{phase}");
        for entry in entries {
            let text = |key: &str| entry[key].as_str().expect("a text");
            let envelope = base64::engine::general_purpose::STANDARD.decode(text("envelope_base64")).expect("base64");
            let envelope = Envelope::decode(envelope.as_slice()).expect("an envelope");
            let refusal = processor.process_normal(&envelope).expect_err(text("name"));
            let expected = (entry["status"].as_i64(), text("info"));
            assert_eq!((Some(refusal.status as i64), refusal.info.as_str()), expected, "{}", text("name"));
        }
    }
}
