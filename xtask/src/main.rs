//! Selvedge's own commands.

mod guests;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is not in a workspace")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["guests"] => {
            for module in guests::build(root, &target.join("release"))? {
                println!("{}", module.display());
            }
        }
        ["guest", dir] => println!("{}", guests::build_crate(Path::new(dir), &target.join("guests"))?.display()),
        _ => bail!("cargo xtask guests | guest <dir>"),
    }
    Ok(())
}
