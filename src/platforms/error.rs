//! Why code cannot be packaged, installed or built. Where Fabric 1.4 has a text, it is Fabric's.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::{MetadataError, Platform, UnknownPlatform};

/// Why code cannot be packaged, installed or built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// No platform of this peer.
    #[error(transparent)]
    Unknown(#[from] UnknownPlatform),
    /// The code is not gzipped.
    #[error("failure opening codepackage gzip stream: {0}")]
    Gzip(&'static str),
    /// The code cannot be unpacked to its end.
    #[error("the code package is damaged: {0}")]
    Damaged(io::Error),
    /// Unpacking stops before the machine is full.
    #[error("the code package holds more than {limit} {what}; take out what the build does not need")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// A file of the package is too large to be read whole.
    #[error("{name} in the code package has {size} bytes, the limit is {limit}")]
    FileTooLarge {
        /// The file.
        name: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that has no place in a package.
    #[error("illegal file detected in payload: \"{0}\"")]
    IllegalFile(String),
    /// A mode other than that of a plain file.
    #[error("illegal file mode detected for file {name}: {mode:o}")]
    IllegalMode {
        /// The file.
        name: String,
        /// Its mode.
        mode: u32,
    },
    /// NODE: there is nothing to start.
    #[error("no package.json found at the root of the chaincode package")]
    NoPackageJson,
    /// A file without which the package is of no use. Fabric has no such platform.
    #[error("no {name} found in the chaincode package; {advice}")]
    Missing {
        /// The file.
        name: &'static str,
        /// What a package of the platform holds.
        advice: &'static str,
    },
    /// A file that is not what its name says.
    #[error("{name} in the chaincode package {reason}")]
    Unfit {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be packaged.
    #[error("{} {reason}", .path.display())]
    UnfitFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// GOLANG: no path of a package to build.
    #[error("could not decode url: ChaincodeSpec's path/URL invalid")]
    PathInvalid,
    /// GOLANG: a path that would mean something to the builder's shell.
    #[error("{0:?} is no import path of a Go package: it may hold letters, digits and . _ - ~ + @ / only")]
    NoImportPath(String),
    /// What would be more than a word in a Dockerfile.
    #[error("{0:?} cannot stand in a Dockerfile as the name or version of a chaincode")]
    Label(String),
    /// It runs without an image.
    #[error("a chaincode of type {0} needs no image")]
    NoImage(Platform),
    /// No image to build in or to run in.
    #[error("No image provided and \"{0}\" default does not exist")]
    NoImageName(&'static str),
    /// Nothing was said about where the code is.
    #[error("ChaincodeSpec's path cannot be empty")]
    EmptyPath,
    /// There is nothing where the code should be.
    #[error("path to chaincode does not exist: {0}")]
    NoPath(String),
    /// The same, of GOLANG, where the path leads to something from the current directory.
    #[error(
        "path to chaincode does not exist: {place}; -l golang, which is the default, takes the import path of a package \
         below GOPATH, and {path} is a file or folder: if it is no Go, say what it is with -l"
    )]
    FolderForGo {
        /// Where it was looked for.
        place: String,
        /// As it was given.
        path: String,
    },
    /// The folder cannot be read.
    #[error("{}: {cause}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A folder behind a link could be anywhere, or contain itself.
    #[error("{} is a link to a folder, which cannot be packaged; put the folder itself there", .0.display())]
    LinkedFolder(PathBuf),
    /// A pipe, a device or the like.
    #[error("{} is no regular file", .0.display())]
    NoRegularFile(PathBuf),
    /// A name that no text can have.
    #[error("the name of {} is not UTF-8", .0.display())]
    Name(PathBuf),
    /// The folder holds nothing to package.
    #[error("no source files found in '{0}'")]
    NoSources(String),
    /// A file below META-INF that is no index, or not a valid one, as who installs a package is told.
    #[error("invalid state database artifact: {0}")]
    Artifact(MetadataError),
    /// The same, as who makes the package is told.
    #[error("{0}")]
    Metadata(MetadataError),
    /// GOLANG: nobody says where packages of Go are.
    #[error("invalid GOPATH environment variable value: it names no folder")]
    NoGopath,
    /// NODE: there are no modules to bring along.
    #[error("there is no folder {}; run `npm install` where package.json is, so that the package can bring its modules along", .0.display())]
    NoModules(PathBuf),
    /// The `go` tool does not like the code.
    #[error("{what}: command <{command}>: failed with error: {cause}")]
    Go {
        /// Fabric's words for what was asked.
        what: String,
        /// The command.
        command: String,
        /// What the tool said.
        cause: String,
    },
}
