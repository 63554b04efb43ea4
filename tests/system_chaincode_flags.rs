//! Who may call which system chaincode, with Fabric's texts in Fabric's places: an error of the call for a client, an ERROR
//! message for a chaincode.

use selvedge::testing::{Client, Invokable, Plugin, TestPeer};

/// How a proposal for a chaincode fails: as the call, with this text.
async fn refused(client: &Client, chaincode: &str) -> anyhow::Result<String> {
    let status = client.endorse(&client.proposal(chaincode, &["x"])?).await.expect_err("the endorser refuses");
    assert_eq!(status.code(), tonic::Code::Unknown, "{status:?}");
    Ok(status.message().to_owned())
}

/// The response of a proposal that was not refused.
async fn answered(client: &Client, chaincode: &str, args: &[&str]) -> anyhow::Result<String> {
    let answer = client.endorse(&client.proposal(chaincode, args)?).await?;
    let response = answer.response.unwrap_or_default();
    Ok(if response.status == 200 { String::from_utf8(response.payload.into())? } else { response.message })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_and_chaincodes_reach_what_is_meant_for_them() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [
        Plugin::guest("open", "mischief")?,
        Plugin { invokable: Invokable::ByClients, ..Plugin::guest("outer", "mischief")? },
        Plugin { invokable: Invokable::ByChaincodes, ..Plugin::guest("inner", "mischief")? },
    ];
    let peer = TestPeer::start(folder.path(), &plugins, &[]).await?;
    let client = peer.client().await?;

    assert_eq!(answered(&client, "open", &["canary"]).await?, "clean");
    assert_eq!(answered(&client, "outer", &["canary"]).await?, "clean");
    for name in ["inner", "escc", "vscc"] {
        assert_eq!(refused(&client, name).await?, format!("chaincode {name} cannot be invoked through a proposal"));
    }

    assert_eq!(answered(&client, "outer", &["swallow", "inner", "canary"]).await?, "swallowed status 200: ");
    for name in ["outer", "cscc", "escc", "vscc"] {
        let swallowed = answered(&client, "open", &["swallow", name, "canary"]).await?;
        let text = format!("system chaincode {name} cannot be invoked with a cc2cc invocation");
        assert!(swallowed.starts_with("swallowed: INVOKE_CHAINCODE failed: transaction ID: "), "{swallowed}");
        assert!(swallowed.ends_with(&text), "{swallowed}");
    }
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chaincode_that_is_off_keeps_its_name() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let plugins = [Plugin::guest("on", "mischief")?, Plugin::guest("off", "mischief")?];
    let whitelist = [("CHAINCODE_SYSTEM", r#"{"qscc":"enable","on":"yes","off":"enabled"}"#)];
    let peer = TestPeer::start(folder.path(), &plugins, &whitelist).await?;
    let client = peer.client().await?;
    assert_eq!(answered(&client, "on", &["canary"]).await?, "clean");
    // Not "could not find chaincode": nobody could instantiate one under these names.
    for name in ["off", "lscc", "+lifecycle"] {
        let text = answered(&client, name, &["canary"]).await?;
        assert!(
            text.contains(&format!("failed to get chaincode container info for {name}:"))
                && text
                    .contains(&format!("chaincode {name} not found: it is a system chaincode that does not run here")),
            "{name}: {text}"
        );
    }
    let cscc = answered(&client, "cscc", &["GetChannels"]).await?;
    assert!(cscc.contains("chaincode container info for cscc:"), "{cscc}");
    peer.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_cannot_take_the_name_of_a_system_chaincode() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["lscc", "cscc", "escc", "vscc"] {
        let refused = TestPeer::start(folder.path(), &[Plugin::guest(name, "mischief")?], &[]).await;
        let text = format!("{:#}", refused.err().expect("the name is refused"));
        assert!(text.contains("is the name of one of the node's own system chaincodes"), "{name}: {text}");
    }
    Ok(())
}
