//! What the sandbox costs, as ratios against a native baseline in the same run (`cargo xtask bench [PART ...]`).
//!
//! Times on a shared machine drift, so the rows of a comparison take turns, and medians over the turns are shown. The
//! parts: `transactions`, `proposals`, `launch`, `memory`; all of them without an argument.

mod launch;
mod measure;
mod memory;
mod native;
mod proposals;
mod sandbox;
mod transactions;

fn main() -> anyhow::Result<()> {
    // With a backtrace each error of a guest would cost microseconds that are not the sandbox's.
    let parts: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    measure::machine();
    if wanted("transactions") {
        sandbox::run()?;
        transactions::run()?;
    }
    if wanted("proposals") {
        proposals::run()?;
    }
    if wanted("launch") {
        launch::run()?;
    }
    if wanted("memory") {
        memory::run()?;
    }
    Ok(())
}
