//! Starts the containers of chaincode, with what a shim needs to find its peer (Fabric: `ContainerRuntime`).
//!
//! A chaincode that dials its peer gets arguments and variables as Fabric gives them; see [`ContainerRuntime::launch_config`].
//! One that the peer dials, or that runs inside it, gets its code only, and a system chaincode nothing: its VM has it.
//! Invariant: what a chaincode is given names this peer and this chaincode, and no other chaincode.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tracing::debug;

use super::{Authenticator, CodeSource, ContainerInfo, LaunchError, LaunchSettings, Packages};
use crate::container::{StartContainer, StopContainer, VmController, VmError};
use crate::platforms::{JAVA_START, Platform};
use crate::tls::ClientPair;

/// How long an error waits for what the chaincode wrote.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

/// Runs chaincode on the peer's VMs.
pub(super) struct ContainerRuntime {
    pub(super) controller: Arc<VmController>,
    pub(super) packages: Arc<dyn Packages>,
    /// None where chaincode registers without TLS.
    pub(super) authenticator: Option<Arc<Authenticator>>,
    pub(super) settings: LaunchSettings,
}

impl ContainerRuntime {
    /// Starts a chaincode; it registers later.
    ///
    /// # Errors
    /// When there is no package of it, or the VM refuses.
    pub(super) async fn start(&self, info: &ContainerInfo) -> Result<(), LaunchError> {
        let request = match info.code {
            CodeSource::System => StartContainer::default(),
            CodeSource::Package => {
                let code = self.packages.code_package(&info.ccid).await.map_err(LaunchError::Package)?;
                let config = self.launch_config(&info.ccid.to_string(), code.platform)?;
                StartContainer { code: Some(code), ..config }
            }
        };
        debug!("start container: {}", info.ccid);
        self.controller.start(info.vm, &info.ccid, request).await.map_err(|error| LaunchError::Start(Arc::new(error)))
    }

    /// Ends a chaincode and removes its container.
    ///
    /// # Errors
    /// The VM's.
    pub(super) async fn stop(&self, info: &ContainerInfo) -> Result<(), VmError> {
        self.controller.stop(info.vm, &info.ccid, StopContainer::default()).await
    }

    /// Resolves with the exit code when the chaincode has ended.
    ///
    /// # Errors
    /// The VM's.
    pub(super) async fn wait(&self, info: &ContainerInfo) -> Result<i32, VmError> {
        self.controller.wait(info.vm, &info.ccid).await
    }

    /// The end of what the chaincode wrote, for an error about it; empty where nobody knows, or does not say in time.
    pub(super) async fn last_output(&self, info: &ContainerInfo) -> String {
        let output = self.controller.last_output(info.vm, &info.ccid);
        tokio::time::timeout(LAST_OUTPUT, output).await.unwrap_or_default()
    }

    /// What a chaincode of this platform is started with, but for its code (Fabric: `LaunchConfig`).
    ///
    /// # Errors
    /// When no certificate can be made.
    pub(super) fn launch_config(&self, id: &str, platform: Platform) -> Result<StartContainer, LaunchError> {
        let Some(args) = arguments(platform, &self.settings.peer_address) else { return Ok(StartContainer::default()) };
        let mut config = StartContainer { args, env: environment(id, &self.settings), ..StartContainer::default() };
        match &self.authenticator {
            None => config.env.push("CORE_PEER_TLS_ENABLED=false".to_owned()),
            Some(authenticator) => {
                let pair = authenticator.generate(id).map_err(|error| {
                    let text = format!("failed to generate TLS certificates for {id}: {error}");
                    LaunchError::Start(Arc::new(VmError::Other(text)))
                })?;
                add_tls(&mut config, &pair, authenticator.ca_certificate());
            }
        }
        Ok(config)
    }
}

/// The key, as base64 of its PEM, which is how shims took it before Fabric 2.
const CLIENT_KEY: &str = "/etc/hyperledger/fabric/client.key";
/// The certificate, in the same form.
const CLIENT_CERT: &str = "/etc/hyperledger/fabric/client.crt";
/// The key in PEM, for those of Fabric 2.
const CLIENT_KEY_PEM: &str = "/etc/hyperledger/fabric/client_pem.key";
/// The certificate in PEM.
const CLIENT_CERT_PEM: &str = "/etc/hyperledger/fabric/client_pem.crt";
/// The authority of the listener's certificate, in PEM for all.
const ROOT_CERT: &str = "/etc/hyperledger/fabric/peer.crt";

fn add_tls(config: &mut StartContainer, pair: &ClientPair, ca_certificate: &str) {
    config.env.push("CORE_PEER_TLS_ENABLED=true".to_owned());
    let files = [
        ("CORE_TLS_CLIENT_KEY_PATH", CLIENT_KEY, BASE64_STANDARD.encode(&pair.key)),
        ("CORE_TLS_CLIENT_CERT_PATH", CLIENT_CERT, BASE64_STANDARD.encode(&pair.certificate)),
        ("CORE_TLS_CLIENT_KEY_FILE", CLIENT_KEY_PEM, pair.key.clone()),
        ("CORE_TLS_CLIENT_CERT_FILE", CLIENT_CERT_PEM, pair.certificate.clone()),
        ("CORE_PEER_TLS_ROOTCERT_FILE", ROOT_CERT, ca_certificate.to_owned()),
    ];
    for (variable, path, content) in files {
        config.env.push(format!("{variable}={path}"));
        config.files.insert(path.to_owned(), content.into_bytes());
    }
}

/// The command line in the container; none for what does not dial. A chaincode in Rust takes Go's.
fn arguments(platform: Platform, peer_address: &str) -> Option<Vec<String>> {
    match platform {
        Platform::Golang | Platform::Rust => Some(vec!["chaincode".into(), format!("-peer.address={peer_address}")]),
        Platform::Java => Some(vec![JAVA_START.into(), "--peerAddress".into(), peer_address.to_owned()]),
        Platform::Node => {
            let script = format!("cd /usr/local/src; npm start -- --peer.address {peer_address}");
            Some(vec!["/bin/sh".into(), "-c".into(), script])
        }
        Platform::Wasm | Platform::Ccaas => None,
    }
}

/// The variables that do not depend on TLS. That of the MSP is of Fabric 2.
fn environment(id: &str, settings: &LaunchSettings) -> Vec<String> {
    vec![
        format!("CORE_CHAINCODE_LOGGING_LEVEL={}", settings.log_level),
        format!("CORE_CHAINCODE_LOGGING_SHIM={}", settings.shim_log_level),
        format!("CORE_CHAINCODE_LOGGING_FORMAT={}", settings.log_format),
        format!("CORE_CHAINCODE_ID_NAME={id}"),
        format!("CORE_PEER_LOCALMSPID={}", settings.local_msp_id),
    ]
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::container::{Ccid, Vm, VmType};
    use crate::platforms::CodePackage;
    use crate::tls::Ca;

    /// Keeps what it is asked to start.
    #[derive(Default)]
    struct Asked(Mutex<Vec<StartContainer>>);

    #[async_trait]
    impl Vm for Asked {
        async fn start(&self, _: &Ccid, request: StartContainer) -> Result<(), VmError> {
            self.0.lock().unwrap().push(request);
            Ok(())
        }

        async fn stop(&self, _: &Ccid, _: StopContainer) -> Result<(), VmError> {
            Ok(())
        }

        async fn wait(&self, _: &Ccid) -> Result<i32, VmError> {
            Ok(0)
        }

        async fn health_check(&self) -> Result<(), VmError> {
            Ok(())
        }
    }

    /// Has a package for every name but `missing`.
    struct Installed(Platform);

    #[async_trait]
    impl Packages for Installed {
        async fn code_package(&self, ccid: &Ccid) -> Result<CodePackage, String> {
            match ccid.name.as_str() {
                "missing" => Err(format!("no package of {ccid}")),
                _ => Ok(CodePackage { platform: self.0, path: "example.com/cc".into(), bytes: "code".into() }),
            }
        }
    }

    async fn start(name: &str, platform: Platform, code: CodeSource) -> Result<StartContainer, LaunchError> {
        start_with(None, name, platform, code).await
    }

    async fn start_with(
        authenticator: Option<Arc<Authenticator>>,
        name: &str,
        platform: Platform,
        code: CodeSource,
    ) -> Result<StartContainer, LaunchError> {
        let vm = Arc::new(Asked::default());
        let runtime = ContainerRuntime {
            controller: Arc::new(VmController::new([(VmType::Docker, Arc::clone(&vm) as Arc<dyn Vm>)])),
            packages: Arc::new(Installed(platform)),
            authenticator,
            settings: LaunchSettings {
                peer_address: "peer0.example.com:7052".into(),
                local_msp_id: "Org1MSP".into(),
                log_level: "info".into(),
                shim_log_level: "warning".into(),
                log_format: "%{message}".into(),
            },
        };
        let info = ContainerInfo { ccid: Ccid::new(name, "1.0"), vm: VmType::Docker, code };
        runtime.start(&info).await?;
        let mut asked = vm.0.lock().unwrap();
        Ok(asked.pop().unwrap())
    }

    #[tokio::test]
    async fn each_platform_is_started_as_fabric_starts_it() {
        let address = "peer0.example.com:7052";
        let table = [
            (Platform::Golang, vec!["chaincode".to_owned(), format!("-peer.address={address}")]),
            (Platform::Rust, vec!["chaincode".to_owned(), format!("-peer.address={address}")]),
            (
                Platform::Java,
                vec!["/root/chaincode-java/start".to_owned(), "--peerAddress".to_owned(), address.to_owned()],
            ),
            (
                Platform::Node,
                vec![
                    "/bin/sh".to_owned(),
                    "-c".to_owned(),
                    format!("cd /usr/local/src; npm start -- --peer.address {address}"),
                ],
            ),
        ];
        for (platform, args) in table {
            let request = start("mycc", platform, CodeSource::Package).await.unwrap();
            assert_eq!(request.args, args, "{platform}");
            assert_eq!(
                request.env,
                [
                    "CORE_CHAINCODE_LOGGING_LEVEL=info",
                    "CORE_CHAINCODE_LOGGING_SHIM=warning",
                    "CORE_CHAINCODE_LOGGING_FORMAT=%{message}",
                    "CORE_CHAINCODE_ID_NAME=mycc:1.0",
                    "CORE_PEER_LOCALMSPID=Org1MSP",
                    "CORE_PEER_TLS_ENABLED=false",
                ],
                "{platform}"
            );
            assert!(request.files.is_empty(), "{platform}");
            assert_eq!(request.code.unwrap().platform, platform);
        }
    }

    #[tokio::test]
    async fn what_does_not_dial_gets_its_code_only() {
        for platform in [Platform::Wasm, Platform::Ccaas] {
            let request = start("mycc", platform, CodeSource::Package).await.unwrap();
            assert!(request.args.is_empty() && request.env.is_empty() && request.files.is_empty(), "{platform}");
            assert_eq!(request.code.unwrap().platform, platform);
        }
        let request = start("missing", Platform::Golang, CodeSource::System).await.unwrap();
        assert!(request.args.is_empty() && request.env.is_empty() && request.code.is_none());
    }

    #[tokio::test]
    async fn a_missing_package_is_told_in_fabrics_words() {
        let refused = start("missing", Platform::Golang, CodeSource::Package).await.unwrap_err();
        assert_eq!(refused.to_string(), "failed to get chaincode package: no package of missing:1.0");
    }

    #[tokio::test]
    async fn with_tls_the_files_are_in_the_forms_of_all_shims() {
        let authenticator = Arc::new(Authenticator::new(Ca::new("ca").unwrap()));
        let request = start_with(Some(Arc::clone(&authenticator)), "mycc", Platform::Golang, CodeSource::Package).await;
        let request = request.unwrap();
        assert_eq!(
            request.env[5..],
            [
                "CORE_PEER_TLS_ENABLED=true",
                "CORE_TLS_CLIENT_KEY_PATH=/etc/hyperledger/fabric/client.key",
                "CORE_TLS_CLIENT_CERT_PATH=/etc/hyperledger/fabric/client.crt",
                "CORE_TLS_CLIENT_KEY_FILE=/etc/hyperledger/fabric/client_pem.key",
                "CORE_TLS_CLIENT_CERT_FILE=/etc/hyperledger/fabric/client_pem.crt",
                "CORE_PEER_TLS_ROOTCERT_FILE=/etc/hyperledger/fabric/peer.crt",
            ]
        );
        let file = |name: &str| request.files[&format!("/etc/hyperledger/fabric/{name}")].clone();
        let decoded = |name: &str| BASE64_STANDARD.decode(file(name)).unwrap();
        assert_eq!(decoded("client.key"), file("client_pem.key"));
        assert_eq!(decoded("client.crt"), file("client_pem.crt"));
        assert!(file("client_pem.key").starts_with(b"-----BEGIN PRIVATE KEY-----"));
        assert!(file("client_pem.crt").starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert_eq!(file("peer.crt"), authenticator.ca_certificate().as_bytes());
        assert_eq!(request.files.len(), 5);
        for platform in [Platform::Wasm, Platform::Ccaas] {
            let request = start_with(Some(Arc::clone(&authenticator)), "mycc", platform, CodeSource::Package).await;
            assert!(request.unwrap().files.is_empty(), "{platform}");
        }
    }
}
