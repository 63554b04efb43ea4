//! The images that chaincode is built in and runs in, in the place of Fabric's: files of this machine, imported once into
//! an engine and found again by what they were made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use bollard::body_full;
use bollard::query_parameters::{CreateImageOptions, ListImagesOptions, RemoveImageOptions};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_stream::StreamExt;

use super::DockerEngine;
use crate::testing::Boxed;

/// What npm, and the commands that build and start chaincode, call.
const COMMANDS: [&str; 14] =
    ["cat", "chmod", "cp", "echo", "env", "false", "ls", "mkdir", "mv", "node", "rm", "sh", "sleep", "true"];
/// What every process in an image may want to find.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n";
/// Where a builder's input and output are put, and what programs expect to be there.
const FOLDERS: [&str; 6] = ["chaincode", "chaincode/input", "chaincode/output", "etc", "root", "tmp"];

/// One import at a time: the second finds what the first has made.
static IMPORT: Mutex<()> = Mutex::const_new(());

/// Node.js with npm and a shell, for `chaincode.builder` and `chaincode.node.runtime`. Returns its name.
///
/// # Errors
/// When a program is not on this machine, or the engine has no room.
pub fn node_image(engine: &DockerEngine) -> Boxed<'_, anyhow::Result<String>> {
    import(engine, "selvedge-test-node", || {
        let mut root = Root::default();
        for command in COMMANDS {
            root.program(&found(command)?)?;
        }
        // Found by its own path, not by the link in PATH.
        let npm = found("npm")?;
        let script = fs::canonicalize(&npm)?;
        root.link(&npm, &script);
        root.link(Path::new("/usr/bin/npm"), &script);
        root.link(Path::new("/usr/bin/node"), &found("node")?);
        let package = script.ancestors().nth(2).context("npm is not in a package of its own")?;
        // Debian's npm has its dependencies beside it.
        let folder = if package.starts_with("/usr/share/nodejs") { Path::new("/usr/share/nodejs") } else { package };
        root.folder(folder)?;
        Ok(root)
    })
}

fn import<'a>(
    engine: &'a DockerEngine,
    repository: &'a str,
    recipe: impl FnOnce() -> anyhow::Result<Root> + Send + 'static,
) -> Boxed<'a, anyhow::Result<String>> {
    Box::pin(async move {
        let root = tokio::task::spawn_blocking(recipe).await??;
        let name = format!("{repository}:{}", root.key()?);
        let _alone = IMPORT.lock().await;
        if engine.client.inspect_image(&name).await.is_ok() {
            return Ok(name);
        }
        let archive = tokio::task::spawn_blocking(move || root.archive()).await??;
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: name.split_once(':').map(|(_, tag)| tag.to_owned()),
            ..CreateImageOptions::default()
        };
        let mut progress = engine.client.create_image(Some(options), Some(body_full(archive.into())), None);
        while let Some(step) = progress.next().await {
            step.with_context(|| format!("cannot import image {name}"))?;
        }
        forget_others(engine, repository, &name).await;
        Ok(name)
    })
}

/// Images that were made of what this machine had before. One that is in use stays.
async fn forget_others(engine: &DockerEngine, repository: &str, name: &str) {
    let filters = Some([("reference".to_owned(), vec![repository.to_owned()])].into());
    let options = ListImagesOptions { filters, ..ListImagesOptions::default() };
    let images = engine.client.list_images(Some(options)).await.unwrap_or_default();
    for tag in images.into_iter().flat_map(|image| image.repo_tags).filter(|tag| tag != name) {
        let _ = engine.client.remove_image(&tag, None::<RemoveImageOptions>, None).await;
    }
}

/// The files of an image, each with where its content is on this machine; and links.
#[derive(Default)]
struct Root {
    files: BTreeMap<PathBuf, PathBuf>,
    links: BTreeMap<PathBuf, PathBuf>,
}

impl Root {
    fn program(&mut self, program: &Path) -> anyhow::Result<()> {
        self.files.insert(program.to_owned(), fs::canonicalize(program)?);
        // `#!/bin/sh` and `/bin/sh -c`, wherever PATH has found it.
        let name = program.file_name().context("a program has a name")?;
        self.files.insert(Path::new("/bin").join(name), fs::canonicalize(program)?);
        self.libraries_of(program)
    }

    /// The dynamic libraries of a program, and what loads them; nothing where it is static.
    fn libraries_of(&mut self, program: &Path) -> anyhow::Result<()> {
        let listed = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for line in listed.lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            let library = match words.as_slice() {
                [_, "=>", path, ..] if path.starts_with('/') => path,
                [name, "=>", "not", ..] => bail!("{} needs {name}, which is not there", program.display()),
                [path, ..] if path.starts_with('/') => path,
                _ => continue,
            };
            self.files.insert(library.into(), fs::canonicalize(library)?);
        }
        Ok(())
    }

    fn link(&mut self, from: &Path, to: &Path) {
        if from != to && !self.files.contains_key(from) {
            self.links.insert(from.to_owned(), to.to_owned());
        }
    }

    fn folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            let kind = fs::symlink_metadata(&path)?.file_type();
            if kind.is_dir() {
                // npm's manual.
                if !["docs", "man"].iter().any(|left_out| path.ends_with(left_out)) {
                    self.folder(&path)?;
                }
            } else if kind.is_symlink() {
                self.links.insert(path.clone(), fs::read_link(&path)?);
            } else {
                self.files.insert(path.clone(), path);
            }
        }
        Ok(())
    }

    /// A name for the content, without reading it.
    fn key(&self) -> anyhow::Result<String> {
        let mut hash = Sha256::new();
        hash.update(include_bytes!("base_images.rs"));
        for (path, content) in &self.files {
            let about = fs::metadata(content)?;
            hash.update(format!("{} {} {:?}\n", path.display(), about.len(), about.modified()?));
        }
        Ok(hex::encode(&hash.finalize()[..6]))
    }

    fn archive(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for folder in FOLDERS {
            let mode = if folder == "tmp" { 0o1777 } else { 0o755 };
            archive.append_data(&mut header(tar::EntryType::Directory, 0, mode), folder, io::empty())?;
        }
        archive.append_data(
            &mut header(tar::EntryType::Regular, PASSWD.len(), 0o644),
            "etc/passwd",
            PASSWD.as_bytes(),
        )?;
        let mut contents = BTreeMap::<&Path, &Path>::new();
        for (path, content) in &self.files {
            match contents.get(content.as_path()) {
                // Once for all its names.
                Some(first) => {
                    let mut link = header(tar::EntryType::Link, 0, 0o755);
                    archive.append_link(&mut link, relative(path), relative(first))?;
                }
                None => {
                    archive.append_path_with_name(content, relative(path))?;
                    contents.insert(content, path);
                }
            }
        }
        let targets: BTreeSet<_> = self.files.keys().collect();
        for (path, target) in self.links.iter().filter(|(path, _)| !targets.contains(path)) {
            archive.append_link(&mut header(tar::EntryType::Symlink, 0, 0o777), relative(path), target)?;
        }
        archive.into_inner()
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn header(kind: tar::EntryType, size: usize, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(mode);
    header
}

fn found(command: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(command));
    places.find(|place| place.is_file()).with_context(|| format!("there is no {command} in PATH"))
}
