//! Chaincode of a few lines of WebAssembly text, for tests of the sandbox itself.

use anyhow::Context;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

/// The contract in WIT, for guests of another version of it.
pub const CONTRACT: &str = include_str!("../../wit/chaincode/chaincode.wit");
/// One package in several files, of which the first says so.
const PEER: [(&str, &str); 5] = [
    ("peer.wit", include_str!("../../wit/peer/peer.wit")),
    ("access-control.wit", include_str!("../../wit/peer/access-control.wit")),
    ("channels.wit", include_str!("../../wit/peer/channels.wit")),
    ("packages.wit", include_str!("../../wit/peer/packages.wit")),
    ("policies.wit", include_str!("../../wit/peer/policies.wit")),
];

/// Where the text of a small guest puts the payload of its response.
pub const PAYLOAD: u32 = 2048;

/// A small guest, as a core module with the contract's metadata.
#[derive(Clone, Debug)]
pub struct SmallGuest {
    /// The WIT of the contract that it is built with.
    pub contract: String,
    /// Further imports of its world, in WIT: `import selvedge:chaincode/messages@0.1.0;`.
    pub wit_imports: String,
    /// The same in WebAssembly text. What is only in WIT is left out of a component.
    pub imports: String,
    /// Pages of memory of 64 KiB.
    pub pages: u32,
    /// What INIT does, in WebAssembly text; it succeeds if it ends.
    pub init: String,
    /// Functions in WebAssembly text; `$run` is called for a transaction and leaves eight bytes at [`PAYLOAD`].
    pub functions: String,
}

impl SmallGuest {
    /// A guest of these functions, `$run` among them.
    pub fn new(functions: &str) -> Self {
        Self {
            contract: CONTRACT.to_owned(),
            wit_imports: String::new(),
            imports: String::new(),
            pages: 1,
            init: String::new(),
            functions: functions.to_owned(),
        }
    }

    /// The module.
    ///
    /// # Errors
    /// When a text is not well-formed.
    pub fn module(&self) -> anyhow::Result<Vec<u8>> {
        // The response: status 200, an empty message, and a payload of eight bytes.
        let text = format!(
            r#"(module
                {imports}
                (memory (export "memory") {pages})
                (global $end (mut i32) (i32.const 4096))
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (global.set $end (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
                    (global.get $end)
                    (global.set $end (i32.add (global.get $end) (local.get 3))))
                (data (i32.const 1024) "\c8\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\08\00\00\08\00\00\00")
                (func (export "init") (result i32) {init} (i32.const 1024))
                (func (export "invoke") (result i32) (call $run) (i32.const 1024))
                {functions})"#,
            imports = self.imports,
            pages = self.pages,
            init = self.init,
            functions = self.functions,
        );
        let mut module = wat::parse_str(&text)?;
        let mut resolve = Resolve::default();
        resolve.push_str("chaincode.wit", &self.contract)?;
        if self.contract == CONTRACT {
            let mut files = SourceMap::default();
            PEER.iter().for_each(|(name, text)| files.push_str(name, *text));
            resolve.push_group(files.parse().map_err(|(_, error)| error)?)?;
        }
        let version = self.contract.split("package selvedge:chaincode@").nth(1).and_then(|rest| rest.split(';').next());
        let world = format!(
            "package test:guest; world guest {{ include selvedge:chaincode/chaincode@{}; {} }}",
            version.context("the contract has no version")?,
            self.wit_imports
        );
        let package = resolve.push_str("guest.wit", &world)?;
        let world = resolve.select_world(&[package], Some("guest"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
        Ok(module)
    }
}
