//! Asking the `go` tool (Fabric: `core/chaincode/platforms/golang/{env,list}.go`).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::platforms::{PlatformError, packaging::Packager};

/// Where Go has packages.
pub(super) struct GoPaths {
    /// Folders whose `src` is searched; the first has the chaincode.
    pub(super) gopath: Vec<PathBuf>,
    /// The folder of Go itself, and the tool; none without the tool.
    pub(super) tool: Option<(PathBuf, GoTool)>,
}

/// The tool, set to look into GOPATH: modules are what Fabric 1.4's builder does not know.
pub(super) struct GoTool(PathBuf);

impl GoPaths {
    pub(super) fn find(packager: &Packager) -> Result<Self, PlatformError> {
        let tool = GoTool(packager.go.clone());
        let Some(gopath) = tool.run(&["env", "GOPATH"], "cannot find GOPATH")? else {
            let gopath = packager.gopath.as_ref().map(split).unwrap_or_default();
            return Ok(Self { gopath: not_empty(gopath)?, tool: None });
        };
        let goroot = tool.run(&["env", "GOROOT"], "cannot find GOROOT")?.unwrap_or_default();
        let gopath = not_empty(split(&gopath.into()))?;
        Ok(Self { gopath, tool: Some((PathBuf::from(goroot), tool)) })
    }
}

fn split(paths: &OsString) -> Vec<PathBuf> {
    std::env::split_paths(paths).filter(|path| !path.as_os_str().is_empty()).collect()
}

fn not_empty(paths: Vec<PathBuf>) -> Result<Vec<PathBuf>, PlatformError> {
    if paths.is_empty() { Err(PlatformError::NoGopath) } else { Ok(paths) }
}

impl GoTool {
    /// What the package imports itself.
    pub(super) fn imports(&self, package: &str) -> Result<BTreeSet<String>, PlatformError> {
        self.list("{{ join .Imports \"\\n\"}}", package, "Error obtaining imports")
    }

    /// What it needs, and what that needs.
    pub(super) fn dependencies(&self, package: &str) -> Result<BTreeSet<String>, PlatformError> {
        let what = format!("Error obtaining dependencies for {package}");
        self.list("{{ join .Deps \"\\n\"}}", package, &what)
    }

    fn list(&self, template: &str, package: &str, what: &str) -> Result<BTreeSet<String>, PlatformError> {
        let text = self.run(&["list", "-f", template, package], what)?.unwrap_or_default();
        Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// What the tool prints; none where there is no tool.
    fn run(&self, arguments: &[&str], what: &str) -> Result<Option<String>, PlatformError> {
        let failed = |cause: String| PlatformError::Go {
            what: what.to_owned(),
            command: format!("{} {}", name(&self.0), arguments.join(" ")),
            cause,
        };
        match Command::new(&self.0).args(arguments).env("GO111MODULE", "off").output() {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(failed(format!("\"{cause}\""))),
            Ok(output) if output.status.success() => {
                Ok(Some(String::from_utf8_lossy(&output.stdout).trim_matches('\n').to_owned()))
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(failed(format!("\"{}\"\n{}", output.status, said.trim_end())))
            }
        }
    }
}

fn name(tool: &Path) -> String {
    tool.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
