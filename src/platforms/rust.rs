//! Chaincode in Rust: a crate on the SDK, or a program that was built already. Fabric has no such platform.
//!
//! A crate is built by cargo in an image that has it; a program goes into its image as it is. Both end as
//! `/usr/local/bin/chaincode` in an image that by default holds nothing else, so a program has to be static.

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use super::archive::{read_content, walk};
use super::folder::{Sources, metadata_beside, sources_of};
use super::packaging::read;
use super::plan::{Packaging, PlatformPlan, builder};
use super::validation::{Damage, Rules, check_entries, is_source_or_metadata};
use super::{BuildSettings, PlatformError, elf};

/// A crate's manifest in a package.
const MANIFEST: &str = "src/Cargo.toml";
/// A program in a package.
pub(super) const PROGRAM: &str = "src/chaincode";
/// Bytes of a manifest that are looked at.
const MAX_MANIFEST: u64 = 1 << 20;
/// Bytes of a program, which is held in memory while its image is built.
pub(super) const MAX_PROGRAM: u64 = 256 << 20;

pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    let mut found = false;
    check_entries(code, rules, Damage::Fails, is_source_or_metadata, |head, _| {
        found |= head.regular && matches!(head.name.as_str(), MANIFEST | PROGRAM);
        Ok(())
    })?;
    if found { Ok(()) } else { Err(missing()) }
}

/// A folder with a crate, or a program; beside either, `META-INF`.
pub(super) fn sources(path: &Path) -> Result<Sources, PlatformError> {
    if path.join("Cargo.toml").is_file() {
        return sources_of(path, |below| below.starts_with("target/") || below.split('/').any(|part| part == ".git"));
    }
    if path.is_dir() {
        let reason = "holds no crate: there is no Cargo.toml in it".to_owned();
        return Err(PlatformError::UnfitFile { path: path.to_owned(), reason });
    }
    elf::is_static(&read(path, MAX_PROGRAM)?)
        .map_err(|reason| PlatformError::UnfitFile { path: path.to_owned(), reason })?;
    let mut sources = metadata_beside(path)?;
    sources.add(PROGRAM, path);
    Ok(sources)
}

fn missing() -> PlatformError {
    PlatformError::Missing {
        name: "src/Cargo.toml",
        advice: "a package of type RUST holds a crate below src, or a program as src/chaincode",
    }
}

pub(super) fn plan<'a>(code: &[u8], settings: &'a BuildSettings) -> Result<PlatformPlan<'a>, PlatformError> {
    let packaging = match Content::of(code)? {
        Content::Crate(facts) => builder(&settings.rust_builder, "chaincode.rust.builder", facts.command())?,
        Content::Program(program) => {
            elf::runs_here(&program).map_err(|reason| PlatformError::Unfit { name: PROGRAM, reason })?;
            Packaging::Files(binpackage(&program)?)
        }
    };
    Ok(PlatformPlan {
        runtime: &settings.rust_runtime,
        runtime_setting: "chaincode.rust.runtime",
        destination: "/usr/local/bin",
        packaging,
    })
}

/// A tar with the program, which may run there.
fn binpackage(program: &[u8]) -> Result<Bytes, PlatformError> {
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o100_755);
    let mut archive = tar::Builder::new(Vec::with_capacity(program.len() + 4096));
    let written = archive.append_data(&mut header, "chaincode", program).and_then(|()| archive.into_inner());
    written.map(Bytes::from).map_err(PlatformError::Damaged)
}

/// What is in a package.
enum Content {
    Crate(Facts),
    Program(Bytes),
}

/// What the build of a crate depends on.
#[derive(Default)]
struct Facts {
    /// Its dependencies are settled.
    locked: bool,
    /// They are in the package, in `vendor`.
    vendored: bool,
    /// It says itself where they are.
    configured: bool,
    /// It has the SDK's feature for programs.
    native: bool,
}

impl Content {
    fn of(code: &[u8]) -> Result<Self, PlatformError> {
        let (mut facts, mut program, mut manifest) = (Facts::default(), None, None);
        walk(code, |head, content| {
            match head.name.as_str() {
                MANIFEST => manifest = Some(read_content(head, content, MAX_MANIFEST)?),
                PROGRAM if head.regular => program = Some(read_content(head, content, MAX_PROGRAM)?),
                "src/Cargo.lock" => facts.locked = true,
                "src/.cargo/config.toml" | "src/.cargo/config" => facts.configured = true,
                name => facts.vendored |= name.starts_with("src/vendor/"),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match (manifest, program) {
            (Some(manifest), _) => {
                facts.native = has_feature(&String::from_utf8_lossy(&manifest), "native");
                Ok(Self::Crate(facts))
            }
            (None, Some(program)) => Ok(Self::Program(program)),
            (None, None) => Err(missing()),
        }
    }
}

impl Facts {
    fn command(&self) -> String {
        const VENDORED: &str = " --config 'source.crates-io.replace-with=\"vendored\"' --config \
                                'source.vendored.directory=\"vendor\"'";
        let flags = [
            (self.locked, " --locked"),
            (self.vendored, " --offline"),
            (self.vendored && !self.configured, VENDORED),
            (self.native, " --features native"),
        ];
        let flags: String = flags.into_iter().filter_map(|(wanted, flag)| wanted.then_some(flag)).collect();
        // Away from the input, because cargo writes beside a manifest. The crate's one program becomes `chaincode`.
        format!(
            "cp -R /chaincode/input/src /tmp/chaincode && cd /tmp/chaincode && \
             cargo install --path . --root /tmp/installed --no-track{flags} && cd /tmp/installed/bin && \
             if [ $(ls | wc -l) != 1 ]; then echo \"the crate has several programs, and has to have one:\" *; exit 1; fi && \
             cp * /chaincode/output/chaincode"
        )
    }
}

/// Whether a manifest's table of features has that one.
fn has_feature(manifest: &str, feature: &str) -> bool {
    let lines = manifest.lines().map(str::trim);
    let table = lines.skip_while(|line| *line != "[features]").skip(1).take_while(|line| !line.starts_with('['));
    table.filter_map(|line| line.split_once('=')).any(|(name, _)| name.trim().trim_matches('"') == feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_found_in_its_table_only() {
        let manifest =
            "[package]\nnative = 1\n\n[features]\ndefault = [\"x\"]\nnative = [\"selvedge-sdk/native\"]\n[lib]\nx = 1";
        assert!(has_feature(manifest, "native") && has_feature(manifest, "default"));
        assert!(!has_feature(manifest, "x") && !has_feature("[package]\nnative = 1", "native"));
    }
}
