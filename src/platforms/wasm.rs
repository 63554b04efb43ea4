//! Chaincode that runs in the peer's sandbox: a package holds one WebAssembly module. Fabric has no such platform.

use std::path::Path;

use super::PlatformError;
use super::folder::{Sources, metadata_beside};
use super::validation::{Damage, Rules, check_entries};

/// Where a package has the module: a component, or a core module with the SDK's metadata.
pub const WASM_MODULE: &str = "src/chaincode.wasm";
/// Bytes of a module. What the SDK builds has a few hundred thousand.
pub const MAX_WASM_MODULE: u64 = 64 << 20;

/// Looks at names and sizes. Whether the module is a chaincode is found out when it is packaged, and again by the VM that
/// loads it: compiling it here would make an install of it as long as its launch.
pub(super) fn validate(code: &[u8], rules: Rules) -> Result<(), PlatformError> {
    let is_allowed = |name: &str| name == WASM_MODULE || name.starts_with("META-INF/");
    let mut found = false;
    check_entries(code, rules, Damage::Fails, is_allowed, |head, content| {
        if head.name != WASM_MODULE {
            return Ok(());
        }
        if found || !head.regular {
            return Err(PlatformError::IllegalFile(head.name.clone()));
        }
        if head.size > MAX_WASM_MODULE {
            let (name, size, limit) = (head.name.clone(), head.size, MAX_WASM_MODULE);
            return Err(PlatformError::FileTooLarge { name, size, limit });
        }
        let mut magic = [0; 4];
        if content.read_exact(&mut magic).is_err() || magic != *b"\0asm" {
            return Err(PlatformError::Unfit { name: WASM_MODULE, reason: "is no WebAssembly".to_owned() });
        }
        found = true;
        Ok(())
    })?;
    match found {
        true => Ok(()),
        false => {
            Err(PlatformError::Missing { name: WASM_MODULE, advice: "a package of type WASM holds one module there" })
        }
    }
}

/// A module, and `META-INF` beside it.
pub(super) fn sources(path: &Path) -> Result<Sources, PlatformError> {
    if !path.is_file() {
        let reason = "is no file; give the path of a .wasm file".to_owned();
        return Err(PlatformError::UnfitFile { path: path.to_owned(), reason });
    }
    let mut sources = metadata_beside(path)?;
    sources.add(WASM_MODULE, path);
    Ok(sources)
}
