//! What a client is told when chaincode in a container does not come up: for each cause the text, and afterwards no
//! container. And what the node holds of a large build, whether that succeeds or not.

use std::path::{Path, PathBuf};

use anyhow::Context;
use selvedge::testing::{
    Code, DockerEngine, DockerPeer, DockerSetting, PeakMemory, TlsAuthority, TlsPurpose, docker_engine, node_image,
    static_program,
};

/// A chaincode that does not come up.
struct Failure {
    name: &'static str,
    /// Of package.json.
    dependencies: &'static str,
    /// Run by the build.
    install: &'static str,
    script: &'static str,
    /// In this order in the text that the client sees.
    told: &'static [&'static str],
}

const EXITS: Failure = Failure {
    name: "exits",
    dependencies: "{}",
    install: "",
    script: "console.error('looking for the database'); console.error('there is no database'); process.exitCode = 3;",
    told: &[
        "msg chaincode registration failed: container exited with 3",
        "looking for the database",
        "there is no database",
    ],
};

const FAILURES: [Failure; 4] = [
    Failure {
        name: "unbuildable",
        dependencies: r#"{"missing": "file:./missing.tgz"}"#,
        install: "",
        script: "",
        told: &[
            "msg error starting container: error starting container: Failed to generate platform-specific docker build: Error \
             returned from build: ",
            "missing.tgz",
        ],
    },
    EXITS,
    // A program of ours that dials the peer under another name, with the certificate that it was given.
    Failure {
        name: "misnamed",
        dependencies: "{}",
        install: "",
        script: "run({ CORE_CHAINCODE_ID_NAME: 'exits:1' });",
        told: &["msg chaincode registration failed: container exited with ", "belongs to a different chaincode"],
    },
    // The same with a certificate of somebody else's.
    Failure {
        name: "uncertified",
        dependencies: "{}",
        install: "",
        script: "run({ CORE_TLS_CLIENT_CERT_FILE: '/usr/local/src/other.crt', CORE_TLS_CLIENT_KEY_FILE: \
                 '/usr/local/src/other.key' });",
        told: &["msg chaincode registration failed: container exited with "],
    },
];

const SILENT: Failure =
    Failure { name: "silent", dependencies: "{}", install: "", script: "setInterval(() => {}, 1000);", told: &[] };

/// Builds of some hundred megabytes; the second is larger than it may be.
const LARGE: [Failure; 2] = [
    Failure {
        name: "large",
        dependencies: "{}",
        install: "const { openSync, writeSync } = require('fs'); const file = openSync('large', 'w'); for (let n = 0; n < 300; n++) \
                  writeSync(file, Buffer.alloc(1 << 20, n));",
        script: "process.exitCode = require('fs').statSync('large').size >> 20;",
        told: &["msg chaincode registration failed: container exited with 44"],
    },
    Failure {
        name: "excessive",
        dependencies: "{}",
        install: "const { openSync, ftruncateSync } = require('fs'); ftruncateSync(openSync('large', 'w'), (1 << 30) + 1);",
        script: "",
        told: &[
            "the build left more than 1073741824 bytes in /chaincode/output; leave out what the chaincode does not need",
        ],
    },
];
/// What a node may need for both at once; it is far less than either.
const NEEDED: usize = 96 << 20;

/// Runs the program beside it, with other variables.
const RUN: &str = "
const { copyFileSync, chmodSync } = require('fs');
const { spawnSync } = require('child_process');
function run(variables) {
    copyFileSync('/usr/local/src/program', '/tmp/program');
    chmodSync('/tmp/program', 0o755);
    const address = process.argv[process.argv.indexOf('--peer.address') + 1];
    const options = { stdio: 'inherit', env: { ...process.env, ...variables } };
    process.exitCode = spawnSync('/tmp/program', ['--peer.address', address], options).status;
}
";

impl Failure {
    /// Its folder, as an author has it.
    fn write(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let folder = folder.join(self.name);
        std::fs::create_dir(&folder)?;
        let package = format!(
            r#"{{"name": "{}", "version": "1.0.0", "dependencies": {},
                "scripts": {{"start": "node index.js", "install": "node install.js"}}}}"#,
            self.name, self.dependencies
        );
        std::fs::write(folder.join("install.js"), self.install)?;
        std::fs::write(folder.join("package.json"), package)?;
        std::fs::write(folder.join("index.js"), format!("{RUN}{}", self.script))?;
        if self.script.starts_with("run") {
            std::fs::copy(static_program("asset")?, folder.join("program"))?;
            TlsAuthority::new(&folder, "ca")?.issue("other", &["other"], TlsPurpose::Both)?;
        }
        Ok(folder)
    }

    /// Installs it and has it instantiated; what the client is told.
    async fn instantiate(&self, peer: &DockerPeer) -> anyhow::Result<String> {
        let arguments =
            ["chaincode", "instantiate", "-C", "mychannel", "-n", self.name, "-v", "1", "-c", r#"{"Args":[]}"#];
        let ended = peer.run(&arguments).await?;
        anyhow::ensure!(ended.code == Some(1), "{} should fail: {ended:?}", self.name);
        println!("{}: {}", self.name, ended.stderr);
        Ok(ended.stderr)
    }

    async fn is_told(&self, peer: &DockerPeer, folder: &Path) -> anyhow::Result<()> {
        peer.install(self.name, "1", Code::Node(&self.write(folder)?)).await?;
        let text = self.instantiate(peer).await?;
        let mut rest = text.as_str();
        for part in self.told {
            let at = rest.find(part).with_context(|| format!("{}: {part:?} is not in {rest:?}", self.name))?;
            rest = &rest[at + part.len()..];
        }
        Ok(())
    }
}

async fn peer<'a>(
    folder: &'a Path,
    id: &'a str,
    engine: &'a DockerEngine,
    overrides: &'a [(&'a str, &'a str)],
) -> anyhow::Result<DockerPeer> {
    let image = node_image(engine).await?;
    let setting = DockerSetting::new(env!("CARGO_BIN_EXE_selvedge"), folder, id, &engine.endpoint);
    DockerPeer::started(DockerSetting { node_image: &image, overrides, ..setting }).await
}

/// Nothing is left on the engine while the peer still runs but images, which are for the next launch.
async fn end(mut peer: DockerPeer, engine: &DockerEngine) -> anyhow::Result<()> {
    let left = peer.containers(engine).await?;
    peer.end(engine).await?;
    anyhow::ensure!(left.is_empty(), "containers are left: {left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_has_its_text() -> anyhow::Result<()> {
    let engine = docker_engine().await?;
    let (folder, sources) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let id = format!("failures{}", std::process::id());
    let peer = peer(folder.path(), &id, &engine, &[]).await?;
    let mut wrong = Vec::new();
    let [one, two, three, four] = &FAILURES;
    let (folder, peer_) = (sources.path(), &peer);
    let told = tokio::join!(
        one.is_told(peer_, folder),
        two.is_told(peer_, folder),
        three.is_told(peer_, folder),
        four.is_told(peer_, folder),
    );
    for told in [told.0, told.1, told.2, told.3] {
        wrong.extend(told.err().map(|error| format!("{error:#}")));
    }
    // A failure is not remembered: the same chaincode is launched again, and fails again.
    let again = EXITS.instantiate(&peer).await;
    let log = peer.node().log()?;
    let ended = end(peer, &engine).await;
    assert!(wrong.is_empty(), "{}\nthe node's log:\n{log}", wrong.join("\n"));
    ended?;
    assert!(again?.contains("container exited with 3"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chaincode_that_never_registers_is_given_up() -> anyhow::Result<()> {
    let engine = docker_engine().await?;
    let (folder, sources) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let id = format!("silent{}", std::process::id());
    let peer = peer(folder.path(), &id, &engine, &[("CHAINCODE_STARTUPTIMEOUT", "5s")]).await?;
    peer.install("silent", "1", Code::Node(&SILENT.write(sources.path())?)).await?;
    // The first launch may spend its time with the image.
    let (first, second) = (SILENT.instantiate(&peer).await, SILENT.instantiate(&peer).await);
    end(peer, &engine).await?;
    for told in [first?, second?] {
        let text = "msg timeout expired while starting chaincode silent:1 for transaction";
        assert!(told.contains(text), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_build_makes_is_never_in_the_nodes_memory() -> anyhow::Result<()> {
    let engine = docker_engine().await?;
    let (folder, sources) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let id = format!("large{}", std::process::id());
    // Several hundred megabytes go through the engine's disk, several times.
    let peer = peer(folder.path(), &id, &engine, &[("CHAINCODE_STARTUPTIMEOUT", "300s")]).await?;
    peer.install("exits", "1", Code::Node(&EXITS.write(sources.path())?)).await?;
    let warm = EXITS.instantiate(&peer).await;
    let memory = PeakMemory::of(peer.process()?)?;
    let [large, excessive] = &LARGE;
    let told = tokio::join!(large.is_told(&peer, sources.path()), excessive.is_told(&peer, sources.path()));
    let needed = memory.needed()?;
    end(peer, &engine).await?;
    warm?;
    told.0?;
    told.1?;
    println!("two large builds took {needed} bytes of the node's memory");
    assert!(needed < NEEDED, "two large builds took {needed} bytes of the node's memory");
    Ok(())
}
